/** As small as it can be. */
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

export default {
  // The SDK is linked from outside of this folder.
  turbopack: { root },
  outputFileTracingRoot: root,
  experimental: { cpus: 1 },
};
