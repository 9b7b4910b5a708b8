//! The corpus' mini-language, in terms of the SDK's public surface.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstitch::{
    App, Awakeable, Callable, Ctx, DurationExt, Error, Function, FunctionRef, Object, ObjectCtx, ObjectRef, Outgoing,
    ParentClose, Received, Retry, SharedCtx, Step, Tolerance,
};
use futures_util::future::{BoxFuture, try_join_all};
use serde_json::{Value, json};

use super::values::{describe, duration, event, field, instant, list, make_error, plain, substitute, text, timed};
use super::{calls, labels, said};

/// What has become of the bodies of steps, by id.
pub(super) type Seen = Arc<Mutex<Bodies>>;

#[derive(Default)]
pub(super) struct Bodies {
    pub(super) begun: Vec<String>,
    /// Those that were dropped before their end.
    pub(super) stopped: Vec<String>,
}

/// Notes the end of a body that does not come to it.
struct Stopped(Option<String>, Seen);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(id) = self.0.take() {
            self.1.lock().unwrap().stopped.push(id);
        }
    }
}

/// The app with the function or the object of a case.
pub(super) fn define(app: App, case: &Value, seen: &Seen) -> App {
    let (program, seen) = (case["program"].clone(), Arc::clone(seen));
    let Some(object) = case.get("object") else {
        return app.function(Function::new("main", move |ctx: Ctx, input: Value| {
            let (program, seen) = (program.clone(), Arc::clone(&seen));
            async move { interpret(&ctx, Held::Nothing, &program, &input, seen).await }
        }));
    };
    let (own, handler) = (Object::new(text(&object["id"])), text(&object["handler"]));
    app.object(match text(&object["mode"]) {
        "exclusive" => own.exclusive(handler, move |ctx: ObjectCtx, input: Value| {
            let (program, seen) = (program.clone(), Arc::clone(&seen));
            async move { interpret(&ctx, Held::Exclusive(ctx.clone()), &program, &input, seen).await }
        }),
        _ => own.shared(handler, move |ctx: SharedCtx, input: Value| {
            let (program, seen) = (program.clone(), Arc::clone(&seen));
            async move { interpret(&ctx, Held::Shared(ctx.clone()), &program, &input, seen).await }
        }),
    })
}

async fn interpret(ctx: &Ctx, held: Held, program: &Value, input: &Value, seen: Seen) -> Result<Value, Error> {
    let interpreter = Interpreter::new(ctx, held, input, seen);
    let flow = interpreter.block(ctx, &Locals::new(), list(program)).await?;
    Ok(match flow {
        Flow::Returned(value) => value,
        Flow::Went(_) => Value::Null,
    })
}

/// The object that a program is a handler of.
enum Held {
    Nothing,
    Shared(SharedCtx),
    Exclusive(ObjectCtx),
}

impl Held {
    fn reads(&self) -> &SharedCtx {
        match self {
            Held::Nothing => panic!("the program is no handler of an object"),
            Held::Shared(ctx) => ctx,
            Held::Exclusive(ctx) => ctx,
        }
    }

    /// What a shared handler lacks the compiler says; a program hears of it here.
    fn writes(&self) -> Result<&ObjectCtx, Error> {
        match self {
            Held::Exclusive(ctx) => Ok(ctx),
            Held::Nothing | Held::Shared(_) => Err(Error::terminal("Refused", "a shared handler only reads")),
        }
    }
}

/// The way back to an update's sender.
type Answer = Arc<dyn Fn(Result<Value, Error>) -> Result<(), Error> + Send + Sync>;

type Locals = HashMap<String, Value>;

enum Flow {
    /// The block went to its end; the value of its last statement.
    Went(Value),
    Returned(Value),
}

impl Flow {
    fn value(self) -> Value {
        match self {
            Flow::Went(value) | Flow::Returned(value) => value,
        }
    }
}

enum Form {
    Endless(Awakeable<Value>),
    Timed(Awakeable<Option<Value>>),
}

struct Interpreter {
    variables: Mutex<HashMap<String, Value>>,
    caught: Mutex<HashMap<String, Error>>,
    forms: Mutex<HashMap<String, Form>>,
    updates: Mutex<HashMap<String, Answer>>,
    held: Held,
    seen: Seen,
}

impl Interpreter {
    fn new(ctx: &Ctx, held: Held, input: &Value, seen: Seen) -> Interpreter {
        let events: Vec<Received<Value>> = ctx.trigger_events().unwrap();
        let event =
            events.first().map_or(Value::Null, |event| json!({"id": event.id, "name": event.name, "data": event.data}));
        let written = |time| format!("{:.3}", jiff::Timestamp::try_from(time).unwrap());
        let deadline = ctx.deadline().map(written);
        let key = match &held {
            Held::Nothing => None,
            held => Some(held.reads().key()),
        };
        let run =
            json!({"id": ctx.id(), "name": ctx.name(), "attempt": ctx.attempt(), "key": key, "deadline": deadline});
        let tick = ctx.tick().map_or(
            Value::Null,
            |tick| json!({"schedule": tick.schedule, "at": written(tick.at), "previous": tick.previous.map(written)}),
        );
        let facts = [("input", input.clone()), ("run", run), ("event", event), ("tick", tick)];
        let variables = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Interpreter {
            variables: Mutex::new(variables),
            caught: Mutex::default(),
            forms: Mutex::default(),
            updates: Mutex::default(),
            held,
            seen,
        }
    }

    fn block<'a>(&'a self, ctx: &'a Ctx, locals: &'a Locals, block: &'a [Value]) -> BoxFuture<'a, Result<Flow, Error>> {
        Box::pin(async move {
            let mut last = Value::Null;
            for statement in block {
                if let Some(template) = statement.get("return") {
                    return Ok(Flow::Returned(self.eval(locals, template)));
                }
                match self.statement(ctx, locals, statement).await? {
                    Flow::Went(value) => last = value,
                    returned => return Ok(returned),
                }
                if let Some(name) = statement.get("as") {
                    self.variables.lock().unwrap().insert(text(name).to_owned(), last.clone());
                }
            }
            Ok(Flow::Went(last))
        })
    }

    async fn statement(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Flow, Error> {
        if let Some(outcome) = self.shape(ctx, locals, s).await {
            return outcome;
        }
        self.durable(ctx, locals, s).await.map(Flow::Went)
    }

    /// Statements that arrange others; `None` for the rest.
    async fn shape(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Option<Result<Flow, Error>> {
        let verb = |name: &str| s.get(name);
        Some(if let Some(branches) = verb("all") {
            let branches = list(branches).iter().map(|branch| self.block(ctx, locals, list(branch)));
            try_join_all(branches).await.map(|flows| Flow::Went(flows.into_iter().map(Flow::value).collect()))
        } else if let Some(branches) = verb("race") {
            let branches = list(branches).iter().map(|branch| self.block(ctx, locals, list(branch)));
            ctx.race(branches).await.map(|flow| Flow::Went(flow.value()))
        } else if let Some(branches) = verb("any") {
            let branches = list(branches).iter().map(|branch| self.block(ctx, locals, list(branch)));
            ctx.any(branches).await.map(|flow| Flow::Went(flow.value()))
        } else if let Some(branches) = verb("allSettled") {
            self.all_settled(ctx, locals, list(branches)).await.map(|ends| Flow::Went(settled(ends)))
        } else if let Some(key) = verb("scope") {
            let scope = ctx.scope(text(key));
            self.block(&scope, locals, list(&s["do"])).await.map(|flow| Flow::Went(flow.value()))
        } else if let Some(key) = verb("shield") {
            let part = |scope: Ctx| async move { self.block(&scope, locals, list(&s["do"])).await };
            ctx.shield(text(key), part).await.map(|flow| Flow::Went(flow.value()))
        } else if verb("map").is_some() {
            self.map(ctx, locals, s).await.map(Flow::Went)
        } else if let Some(times) = verb("repeat") {
            let mut last = Value::Null;
            for _ in 0..times.as_u64().unwrap() {
                match self.block(ctx, locals, list(&s["do"])).await {
                    Ok(Flow::Went(value)) => last = value,
                    other => return Some(other),
                }
            }
            Ok(Flow::Went(last))
        } else if let Some(block) = verb("try") {
            match self.block(ctx, locals, list(block)).await {
                Ok(flow) => Ok(flow),
                Err(error) => {
                    let name = text(&s["error"]).to_owned();
                    self.variables.lock().unwrap().insert(name.clone(), describe(&error));
                    self.caught.lock().unwrap().insert(name, error);
                    self.block(ctx, locals, list(&s["catch"])).await
                }
            }
        } else if let (Some(template), Some(_)) = (verb("if"), verb("then")) {
            let yes = !matches!(self.eval(locals, template), Value::Null | Value::Bool(false));
            let branch = if yes { &s["then"] } else { s.get("else").unwrap_or(&Value::Null) };
            self.block(ctx, locals, branch.as_array().map_or(&[], Vec::as_slice)).await
        } else if let Some(name) = verb("rethrow") {
            Err(self.caught.lock().unwrap().remove(text(name)).unwrap())
        } else if let Some(error) = verb("fail") {
            Err(make_error(error))
        } else {
            return None;
        })
    }

    /// The SDK's own takes calls alone, like the corpus' cases; whatever else stands in a branch is a fan-out.
    async fn all_settled(
        &self,
        ctx: &Ctx,
        locals: &Locals,
        blocks: &[Value],
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let calls: Option<Vec<_>> = blocks.iter().map(|block| self.bare_call(ctx, locals, list(block))).collect();
        ctx.all_settled(calls.expect("branches of allSettled are one call each")).await
    }

    fn bare_call(&self, ctx: &Ctx, locals: &Locals, block: &[Value]) -> Option<backstitch::Invoke<Value>> {
        let [s] = block else { return None };
        let target: &'static str = Box::leak(text(s.get("function")?).to_owned().into_boxed_str());
        let input = s.get("input").map_or(Value::Null, |input| self.eval(locals, input));
        Some(ctx.call_as(text(s.get("invoke")?), &FunctionRef::<Value, Value>::new(target), input))
    }

    async fn map(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        let items = self.eval(locals, &s["items"]);
        let items: Vec<(usize, Value)> = list(&items).iter().cloned().enumerate().collect();
        let key = |(position, item): &(usize, Value)| match s.get("key") {
            Some(field) => plain(&item[text(field)]),
            None => position.to_string(),
        };
        let body = |ctx: Ctx, (_, item): (usize, Value)| {
            let mut locals = locals.clone();
            locals.insert(text(&s["item"]).to_owned(), item);
            async move { self.block(&ctx, &locals, list(&s["do"])).await.map(Flow::value) }
        };
        let mut map = ctx.map(text(&s["map"]), items, key, body);
        if let Some(at_once) = s.get("concurrency").and_then(Value::as_u64) {
            map = map.concurrency(at_once as usize);
        }
        match s.get("tolerate") {
            None => map.await.map(Value::Array),
            Some(Value::String(share)) => {
                let percent = share.trim_end_matches('%').parse().unwrap();
                map.tolerate(Tolerance::percent(percent)).await.map(settled)
            }
            Some(count) => map.tolerate(count.as_u64().unwrap() as usize).await.map(settled),
        }
    }

    async fn durable(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        let timeout = s.get("timeout").map(duration);
        if let Some(id) = s.get("step") {
            return self.step(ctx, locals, text(id), s).await;
        }
        if let Some(id) = s.get("sleep") {
            let sleep = match s.get("until") {
                Some(until) => ctx.sleep_until(text(id), instant(until)),
                None => ctx.sleep(text(id), duration(&s["for"])),
            };
            return sleep.await.map(|()| Value::Null);
        }
        if let Some(id) = s.get("signal") {
            let wait = ctx.signal_as::<Value>(text(id), text(&s["name"]));
            return Ok(match timeout {
                Some(timeout) => timed(wait.timeout(timeout).await?),
                None => timed(Some(wait.await?)),
            });
        }
        if let Some(id) = s.get("event") {
            let mut wait = ctx.event_named::<Value>(text(id), text(&s["name"]));
            if let Some(expression) = s.get("if") {
                wait = wait.when(text(expression));
            }
            if s.get("since").is_some_and(|since| since == "now") {
                wait = wait.since_now();
            }
            return Ok(match timeout {
                Some(timeout) => timed(wait.timeout(timeout).await?.map(event)),
                None => timed(Some(event(wait.await?))),
            });
        }
        if let Some(id) = s.get("update") {
            return match s.get("accepts").map(text) {
                Some("number") => self.update::<serde_json::Number>(ctx, text(id), s).await,
                Some("string") => self.update::<String>(ctx, text(id), s).await,
                _ => self.update::<Value>(ctx, text(id), s).await,
            };
        }
        if s.get("invoke").is_some() || s.get("start").is_some() {
            return self.child(ctx, locals, s).await;
        }
        if let Some(id) = s.get("fetch") {
            let request = self.eval(locals, &s["request"]);
            return calls::fetch(ctx, text(id), &request, &s["options"]).await.map(|answer| json!(answer));
        }
        if let Some(id) = s.get("send") {
            let events = list(&s["events"]).iter().map(|event| self.outgoing(locals, event));
            return ctx.send_all(text(id), events).await.map(|ids| json!(ids));
        }
        if let Some(id) = s.get("awakeable") {
            return self.awakeable(ctx, text(id), timeout);
        }
        if let Some(input) = s.get("continueAsNew") {
            return ctx.continue_as_new(self.eval(locals, input)).await;
        }
        if let Some(id) = s.get("await") {
            let form = self.forms.lock().unwrap().remove(text(id)).unwrap();
            return Ok(match form {
                Form::Endless(form) => timed(Some(form.await?)),
                Form::Timed(form) => timed(form.await?),
            });
        }
        self.fact(ctx, locals, s)
    }

    fn fact(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        if let Some(template) = s.get("let") {
            return Ok(self.eval(locals, template));
        }
        if s.get("now").is_some() {
            return Ok(json!(format!("{:.3}", jiff::Timestamp::try_from(ctx.now()).unwrap())));
        }
        if s.get("uuid").is_some() {
            return Ok(json!(ctx.uuid()));
        }
        if s.get("random").is_some() {
            return Ok(json!(ctx.random()));
        }
        self.about_the_run(ctx, locals, s)
    }

    fn about_the_run(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        if let Some(template) = s.get("status") {
            return ctx.set_status(self.eval(locals, template)).map(|()| Value::Null);
        }
        if let Some(topic) = s.get("publish") {
            return said::publish(ctx, s, topic, self.eval(locals, &s["data"])).map(|()| Value::Null);
        }
        if let Some(done) = labels::of_run(ctx, s, |template| self.eval(locals, template)) {
            return done;
        }
        if let Some(id) = s.get("patched") {
            return ctx.patched(text(id)).map(Value::Bool);
        }
        if let Some(id) = s.get("deprecatePatch") {
            return ctx.deprecate_patch(text(id)).map(|()| Value::Null);
        }
        if let Some(update) = s.get("reply") {
            let answer = Arc::clone(&self.updates.lock().unwrap()[text(update)]);
            let outcome = match s.get("err") {
                Some(error) => Err(make_error(error)),
                None => Ok(self.eval(locals, &s["ok"])),
            };
            return answer(outcome).map(|()| Value::Null);
        }
        if let Some(name) = s.get("get") {
            return Ok(self.held.reads().get(text(name))?.unwrap_or_default());
        }
        if let Some(values) = s.get("set") {
            return self.held.writes()?.set_all(self.eval(locals, values)).map(|()| Value::Null);
        }
        if let Some(names) = s.get("clear") {
            for name in list(names) {
                self.held.writes()?.clear(text(name))?;
            }
            return Ok(Value::Null);
        }
        panic!("no such statement: {s}")
    }

    async fn update<T>(&self, ctx: &Ctx, id: &str, s: &Value) -> Result<Value, Error>
    where
        T: serde::de::DeserializeOwned + serde::Serialize + Send + Sync + 'static,
    {
        let wait = ctx.update_as::<T>(id, text(&s["name"]));
        let update = match s.get("timeout").map(duration) {
            Some(timeout) => wait.timeout(timeout).await?,
            None => Some(wait.await?),
        };
        let Some(update) = update else { return Ok(timed(None)) };
        let value = json!({"timedOut": false, "id": update.id, "data": update.data});
        let answer: Answer = Arc::new(move |outcome| match outcome {
            Ok(value) => update.reply(value),
            Err(error) => update.reject(error),
        });
        self.updates.lock().unwrap().insert(text(&s["as"]).to_owned(), answer);
        Ok(value)
    }

    async fn step(&self, ctx: &Ctx, locals: &Locals, id: &str, s: &Value) -> Result<Value, Error> {
        let options = &s["options"];
        let retry = retry(options);
        let option = |name: &str| options.get(name).map(duration);
        macro_rules! run {
            ($body:expr) => {{
                let mut run = ctx.run(id, $body);
                if let Some(retry) = retry {
                    run = run.retry(retry);
                }
                if let Some(timeout) = option("timeout") {
                    run = run.timeout(timeout);
                }
                if let Some(silence) = option("heartbeat") {
                    run = run.heartbeat(silence);
                }
                if let Some(timeout) = option("scheduleToClose") {
                    run = run.schedule_to_close(timeout);
                }
                if let Some(timeout) = option("scheduleToStart") {
                    run = run.schedule_to_start(timeout);
                }
                run
            }};
        }
        let (seen, skipped) = (Arc::clone(&self.seen), ctx.id().len() + 1);
        let id_of = move |step: &Step| step.idempotency_key()[skipped..].to_owned();
        if s.get("unserializable").is_some() {
            type Unserializable = BTreeMap<String, Vec<Option<BTreeMap<(u8, u8), u8>>>>;
            let value: Unserializable = [("list".to_owned(), vec![None, Some(BTreeMap::from([((1, 2), 3)]))])].into();
            let body = async { backstitch::Ok(value) };
            let value: Unserializable = run!(|step: Step| noted(seen, id_of(&step), body)).await?;
            return Ok(json!(value.len()));
        }
        if let Some(inner) = s.get("nested") {
            let nested = async { ctx.run(text(inner), |_| async { backstitch::Ok(json!(1)) }).await };
            return run!(|step: Step| noted(seen, id_of(&step), nested)).await;
        }
        let work = Work::new(s, |template| self.eval(locals, template));
        let run = run!(|step: Step| noted(seen, id_of(&step), work.run(step, Value::Null)));
        let Some(undo) = s.get("undo") else { return run.await };
        let (work, seen) = (Work::new(undo, |template| self.eval(locals, template)), Arc::clone(&self.seen));
        let run = run.compensate(move |result: Value, step: Step| noted(seen, id_of(&step), work.run(step, result)));
        match self::retry(undo) {
            Some(retry) => run.compensate_retry(retry).await,
            None => run.await,
        }
    }

    async fn child(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        // The corpus' names are as static as a program's.
        let target: &'static str = Box::leak(text(&s["function"]).to_owned().into_boxed_str());
        let input = s.get("input").map_or(Value::Null, |input| self.eval(locals, input));
        match s.get("key") {
            Some(key) => {
                let (object, handler) = target.split_once('/').unwrap();
                let key = plain(&self.eval(locals, key));
                let handler = ObjectRef::new(object).handler::<Value, Value>(handler).key(key);
                self.call(ctx, s, &handler, input).await
            }
            None => self.call(ctx, s, &FunctionRef::<Value, Value>::new(target), input).await,
        }
    }

    async fn call<C>(&self, ctx: &Ctx, s: &Value, function: &C, input: Value) -> Result<Value, Error>
    where
        C: Callable<Input = Value, Output = Value>,
    {
        if let Some(id) = s.get("start") {
            return labels::of_start(ctx.start_as(text(id), function, input), s).await.map(Value::String);
        }
        let mut call = labels::of_call(ctx.call_as(text(&s["invoke"]), function, input), s);
        if let Some(timeout) = s.get("timeout") {
            call = call.timeout(duration(timeout));
        }
        if let Some(policy) = s.get("parentClose") {
            call = call.parent_close(match text(policy) {
                "wait" => ParentClose::Wait,
                "abandon" => ParentClose::Abandon,
                _ => ParentClose::Cancel,
            });
        }
        call.await
    }

    fn outgoing(&self, locals: &Locals, event: &Value) -> Outgoing {
        let mut outgoing = Outgoing::new(text(&event["name"]), self.eval(locals, &event["data"]));
        if let Some(id) = event.get("id") {
            outgoing = outgoing.id(text(id));
        }
        if let Some(at) = event.get("at") {
            outgoing = outgoing.at(instant(at));
        }
        outgoing
    }

    fn awakeable(&self, ctx: &Ctx, id: &str, timeout: Option<Duration>) -> Result<Value, Error> {
        let mut form = match timeout {
            Some(timeout) => Form::Timed(ctx.awakeable(id).timeout(timeout)),
            None => Form::Endless(ctx.awakeable(id)),
        };
        let token = match &mut form {
            Form::Endless(form) => form.token()?,
            Form::Timed(form) => form.token()?,
        };
        self.forms.lock().unwrap().insert(id.to_owned(), form);
        Ok(json!(token))
    }

    fn eval(&self, locals: &Locals, template: &Value) -> Value {
        substitute(template, &|path| {
            let head = path.split('.').next().unwrap();
            if head == "body" || head == "result" {
                return None;
            }
            let variables = self.variables.lock().unwrap();
            Some(locals.get(head).or_else(|| variables.get(head)).map_or(Value::Null, |root| field(root, path)))
        })
    }
}

/// What a body does, with its templates filled in as far as the handler can.
struct Work {
    statement: Value,
    ok: Value,
    heartbeats: Vec<Value>,
}

impl Work {
    fn new(statement: &Value, eval: impl Fn(&Value) -> Value) -> Work {
        let ok = eval(statement.get("ok").unwrap_or(&Value::Null));
        let heartbeats =
            statement.get("heartbeats").and_then(Value::as_array).into_iter().flatten().map(eval).collect();
        Work { statement: statement.clone(), ok, heartbeats }
    }

    async fn run(self, step: Step, result: Value) -> Result<Value, Error> {
        let Work { statement: s, ok, heartbeats } = self;
        said::publish_all(&step, &s)?;
        for heartbeat in heartbeats {
            step.heartbeat(heartbeat)?;
        }
        if let Some(ms) = s.get("slow").and_then(Value::as_u64) {
            tokio::time::sleep(ms.milliseconds()).await;
        }
        let times = s.get("times").and_then(Value::as_u64).unwrap_or(u64::MAX);
        if let Some(error) = s.get("throw")
            && u64::from(step.attempt()) <= times
        {
            return Err(make_error(error));
        }
        let details = step.details::<Value>()?;
        let facts = json!({"attempt": step.attempt(), "idempotencyKey": step.idempotency_key(), "details": details});
        let root = |path: &str| if path.split('.').next() == Some("result") { &result } else { &facts };
        Ok(substitute(&ok, &|path| Some(field(root(path), path))))
    }
}

/// What branches came to, as programs see it.
fn settled(ends: Vec<Result<Value, Error>>) -> Value {
    let end = |end| match end {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"err": describe(&error)}),
    };
    ends.into_iter().map(end).collect()
}

/// Notes that a body has begun, then runs it.
async fn noted<T>(seen: Seen, id: String, body: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    seen.lock().unwrap().begun.push(id.clone());
    let mut stopped = Stopped(Some(id), seen);
    let result = body.await;
    stopped.0 = None;
    result
}

pub(super) fn retry(options: &Value) -> Option<Retry> {
    options.get("retry").map(|retry| serde_json::from_value(retry.clone()).unwrap())
}
