/** Where the dashboard begins: its styles, its cache of the server's answers, its routes. */
import "@fontsource-variable/geist/wght.css";
import "@fontsource-variable/geist-mono/wght.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { router } from "./router.tsx";

const client = new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: true, staleTime: 1_000 } } });

createRoot(document.getElementById("root")!).render(
  <QueryClientProvider client={client}>
    <RouterProvider router={router} />
  </QueryClientProvider>,
);
