/** The app for hosts with an environment. */
import process from "node:process";
import { makeApp } from "../app.mjs";

export const app = makeApp({ id: process.env.APP, second: process.env.SECOND === "1" });
