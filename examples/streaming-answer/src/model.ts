/** A stand-in for a model: says its answer token by token, with the pauses of a real one. */

const PAUSE_MS = Number(process.env.MODEL_PAUSE_MS ?? 30);

/** The tokens of an answer. Stops when it is told to. */
export async function* complete(question: string, signal: AbortSignal): AsyncGenerator<string> {
  const answer = `You asked: "${question}" There are as many answers as there are stitches in a seam, and each of them holds the next. Take the last one that holds, and go on from there.`;
  for (const token of answer.split(/(?<= )/)) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    signal.throwIfAborted();
    yield token;
  }
}
