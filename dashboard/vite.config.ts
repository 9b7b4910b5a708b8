/**
 * How the dashboard is built: hashed assets under `/ui/assets/`, each with a brotli and a gzip version beside it, so that the server never
 * compresses anything itself. `npm run dev` serves it with live reload and passes the API on to the server at BACKSTITCH_URL.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Files that a compression makes smaller; fonts are compressed already. */
const TEXT = /\.(js|css|html|svg|json|webmanifest)$/;

/** Writes `x.br` and `x.gz` beside every text file of the build. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      const root = join(import.meta.dirname, "dist");
      for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !TEXT.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

const server = process.env.BACKSTITCH_URL ?? "http://127.0.0.1:8484";

export default defineConfig({
  base: "/ui/",
  plugins: [react(), compressed()],
  build: {
    target: "es2023",
    // Small files would become data: URLs, which the content security policy refuses for scripts and fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { host: "127.0.0.1", proxy: Object.fromEntries(["/v1", "/healthz", "/readyz", "/metrics", "/dev", "/openapi.json"].map((path) => [path, server])) },
});
