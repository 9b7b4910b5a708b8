/** Parents and children, also of another app: the two apps here call each other. */
import { Backstitch, functionRef, NonRetriableError, signal, StepError } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";
import { MODES } from "./world.mjs";

export default function define(id) {
  const app = new Backstitch({ id });
  const other = MODES.find((mode) => mode !== id);

  // Works until it is told to stop working; undoes it when it is cancelled.
  const child = app.function({ id: "child" }, async ({ input, step }) => {
    await step.run("work", ({ idempotencyKey }) => act(`work ${input}`, idempotencyKey), { compensate: (_, { idempotencyKey }) => act(`undo ${input}`, idempotencyKey) });
    const { data } = await step.waitForSignal("end", signal("end"));
    return { child: input, data };
  });

  app.function({ id: "parent" }, async ({ input, step }) => {
    void step.invoke("child", child, input, input === "cancel" ? {} : { parentClose: input });
    await step.waitForSignal("end", signal("end"));
    return "parent";
  });

  app.function({ id: "fails" }, ({ input }) => {
    throw new NonRetriableError(`no ${input}`, { name: "OutOfStock", code: "E7", data: { left: 0 } });
  });

  app.function({ id: "double" }, ({ input, trigger }) => ({ twice: input.n * 2, at: new Date(0), by: trigger.kind }));

  app.function({ id: "calls" }, async ({ input, step }) => {
    const error = (error) => {
      if (!(error instanceof StepError)) throw error;
      const { name, message, data } = error;
      return { name, message, error: data?.error && { name: data.error.name, message: data.error.message, code: data.error.code, data: data.error.data } };
    };
    switch (input) {
      case "double":
        return step.invoke("double", functionRef(`${other}/double`), { n: 21 });
      case "fails":
        return step.invoke("fails", functionRef(`${other}/fails`), "lamps").catch(error);
      case "slow":
        return step.invoke("slow", functionRef(`${other}/child`), "slow", { timeout: "300ms" }).catch(error);
      case "cancelled":
        return step.invoke("cancelled", functionRef(`${other}/child`), "cancelled").catch(error);
      case "many":
        return step.map("many", [1, 2, 3, 4, 5, 6, 7, 8], (n, step) => step.invoke("double", functionRef(`${other}/double`), { n }).then(({ twice }) => twice), { concurrency: 3 });
      default:
        return step.start("detached", functionRef(`${other}/child`), "detached", { detached: true });
    }
  });
  return app;
}
