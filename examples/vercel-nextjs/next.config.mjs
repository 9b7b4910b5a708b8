/** In the repository the SDK is a link to a folder outside of this one, which the bundler must be allowed to read. With the package from npm, leave this out. */
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export default { turbopack: { root }, outputFileTracingRoot: root };
