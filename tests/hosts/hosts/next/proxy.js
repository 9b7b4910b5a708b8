/** What many applications have: something that runs before each request, for which Next.js copies the request's body. */
import { NextResponse } from "next/server";

export function proxy() {
  return NextResponse.next();
}
