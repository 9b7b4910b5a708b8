/** A stand-in for mail: prints what would be sent. */

/** Sends a mail. */
export async function mail(to: string, subject: string, body: string): Promise<void> {
  console.log(`mail to ${to}: ${subject}${body === "" ? "" : `\n  ${body}`}`);
}
