/** A stand-in for a mail service: it prints. A real one gets the key, so that it sends one mail however often it is asked. */
export async function mail(to: string, what: "welcome" | "hint" | "how is it", key: string): Promise<string> {
  console.log(`mail to ${to}: ${what} (${key})`);
  return key;
}
