/** Whether this is a server for development, which shows and does what others do not. */
import { useQuery } from "@tanstack/react-query";
import { get } from "./client.ts";
import { useCan } from "./queries.ts";

export function useDev(): boolean {
  const can = useCan("/dev/invocations");
  const { data } = useQuery({ queryKey: ["dev"], queryFn: ({ signal }) => get("/dev/invocations", { limit: 1 }, signal).then(() => true, () => false), enabled: can, staleTime: Infinity });
  return data ?? false;
}
