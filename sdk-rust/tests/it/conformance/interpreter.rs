//! The corpus' mini-language, in terms of the SDK's public surface.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use backstitch::{Awakeable, Ctx, DurationExt, Error, Function, FunctionRef, Outgoing, Received, Retry, Step};
use futures_util::future::{BoxFuture, select_all, try_join_all};
use serde_json::{Value, json};

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

/// A function that interprets `program`.
pub(super) fn function(program: Value, seen: &Seen) -> Function {
    let seen = Arc::clone(seen);
    Function::new("main", move |ctx: Ctx, input: Value| {
        let (program, seen) = (program.clone(), Arc::clone(&seen));
        async move {
            let interpreter = Interpreter::new(&ctx, &input, seen);
            let flow = interpreter.block(&ctx, &Locals::new(), list(&program)).await?;
            backstitch::Ok(match flow {
                Flow::Returned(value) => value,
                Flow::Went(_) => Value::Null,
            })
        }
    })
}

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
    seen: Seen,
}

impl Interpreter {
    fn new(ctx: &Ctx, input: &Value, seen: Seen) -> Interpreter {
        let events: Vec<Received<Value>> = ctx.trigger_events().unwrap();
        let event =
            events.first().map_or(Value::Null, |event| json!({"id": event.id, "name": event.name, "data": event.data}));
        let run = json!({"id": ctx.id(), "name": ctx.name(), "attempt": ctx.attempt()});
        let facts = [("input", input.clone()), ("run", run), ("event", event)];
        let variables = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Interpreter { variables: Mutex::new(variables), caught: Mutex::default(), forms: Mutex::default(), seen }
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
            let (first, _, _others) = select_all(branches).await;
            first.map(|flow| Flow::Went(flow.value()))
        } else if let Some(key) = verb("scope") {
            let scope = ctx.scope(text(key));
            self.block(&scope, locals, list(&s["do"])).await.map(|flow| Flow::Went(flow.value()))
        } else if verb("map").is_some() {
            self.map(ctx, locals, s).await.map(|values| Flow::Went(Value::Array(values)))
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

    async fn map(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Vec<Value>, Error> {
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
        let map = ctx.map(text(&s["map"]), items, key, body);
        match s.get("concurrency").and_then(Value::as_u64) {
            Some(at_once) => map.concurrency(at_once as usize).await,
            None => map.await,
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
        if s.get("invoke").is_some() || s.get("start").is_some() {
            return self.child(ctx, locals, s).await;
        }
        if let Some(id) = s.get("send") {
            let events = list(&s["events"]).iter().map(|event| self.outgoing(locals, event));
            return ctx.send_all(text(id), events).await.map(|ids| json!(ids));
        }
        if let Some(id) = s.get("awakeable") {
            return self.awakeable(ctx, text(id), timeout);
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
        panic!("no such statement: {s}")
    }

    async fn step(&self, ctx: &Ctx, locals: &Locals, id: &str, s: &Value) -> Result<Value, Error> {
        let options = &s["options"];
        let retry = options.get("retry").map(|retry| serde_json::from_value::<Retry>(retry.clone()).unwrap());
        let timeout = options.get("timeout").map(duration);
        macro_rules! run {
            ($body:expr) => {{
                let mut run = ctx.run(id, $body);
                if let Some(retry) = retry {
                    run = run.retry(retry);
                }
                if let Some(timeout) = timeout {
                    run = run.timeout(timeout);
                }
                run.await
            }};
        }
        if s.get("unserializable").is_some() {
            type Unserializable = BTreeMap<String, Vec<Option<BTreeMap<(u8, u8), u8>>>>;
            let value: Unserializable = [("list".to_owned(), vec![None, Some(BTreeMap::from([((1, 2), 3)]))])].into();
            let value: Unserializable = run!(|step: Step| self.body(ctx, step, async { backstitch::Ok(value) }))?;
            return Ok(json!(value.len()));
        }
        if let Some(inner) = s.get("nested") {
            let nested = async { ctx.run(text(inner), |_| async { backstitch::Ok(json!(1)) }).await };
            return run!(|step: Step| self.body(ctx, step, nested));
        }
        let template = self.eval(locals, s.get("ok").unwrap_or(&Value::Null));
        run!(|step: Step| {
            let facts = json!({"attempt": step.attempt(), "idempotencyKey": step.idempotency_key()});
            self.body(ctx, step, work(s, template, facts))
        })
    }

    /// Notes that a body has begun, then runs it.
    async fn body<T>(&self, ctx: &Ctx, step: Step, body: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let id = step.idempotency_key()[ctx.id().len() + 1..].to_owned();
        self.seen.lock().unwrap().begun.push(id.clone());
        let mut stopped = Stopped(Some(id), Arc::clone(&self.seen));
        let result = body.await;
        stopped.0 = None;
        result
    }

    async fn child(&self, ctx: &Ctx, locals: &Locals, s: &Value) -> Result<Value, Error> {
        // The corpus' names are as static as a program's.
        let target: &'static str = Box::leak(text(&s["function"]).to_owned().into_boxed_str());
        let function = FunctionRef::<Value, Value>::new(target);
        let input = s.get("input").map_or(Value::Null, |input| self.eval(locals, input));
        if let Some(id) = s.get("start") {
            return ctx.start_as(text(id), &function, input).await.map(Value::String);
        }
        let call = ctx.call_as(text(&s["invoke"]), &function, input);
        match s.get("timeout") {
            Some(timeout) => call.timeout(duration(timeout)).await,
            None => call.await,
        }
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
            if head == "body" {
                return None;
            }
            let variables = self.variables.lock().unwrap();
            Some(locals.get(head).or_else(|| variables.get(head)).map_or(Value::Null, |root| field(root, path)))
        })
    }
}

async fn work(s: &Value, template: Value, facts: Value) -> Result<Value, Error> {
    if let Some(ms) = s.get("slow").and_then(Value::as_u64) {
        tokio::time::sleep(ms.milliseconds()).await;
    }
    let times = s.get("times").and_then(Value::as_u64).unwrap_or(u64::MAX);
    if let Some(error) = s.get("throw")
        && facts["attempt"].as_u64().unwrap() <= times
    {
        return Err(make_error(error));
    }
    Ok(substitute(&template, &|path| Some(field(&facts, path))))
}

fn substitute(template: &Value, lookup: &dyn Fn(&str) -> Option<Value>) -> Value {
    match template {
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("$") => {
            lookup(text(&fields["$"])).unwrap_or_else(|| template.clone())
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), substitute(value, lookup)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(values) => values.iter().map(|value| substitute(value, lookup)).collect(),
        other => other.clone(),
    }
}

/// What the path says after its head.
fn field(root: &Value, path: &str) -> Value {
    path.split('.').skip(1).fold(root.clone(), |value, segment| match segment.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index).cloned().unwrap_or_default(),
        _ => value.get(segment).cloned().unwrap_or_default(),
    })
}

fn make_error(error: &Value) -> Error {
    let (name, message) = (text(&error["name"]), text(&error["message"]));
    let mut made = match error.get("retryable") {
        Some(Value::Bool(false)) => Error::terminal(name, message),
        _ => Error::new(name, message),
    };
    if let Some(code) = error.get("code") {
        made = made.with_code(text(code));
    }
    if let Some(data) = error.get("data") {
        made = made.with_data(data);
    }
    match error.get("retryAfter") {
        Some(delay) => made.retry_after(duration(delay)),
        None => made,
    }
}

fn describe(error: &Error) -> Value {
    let mut described = json!({"name": error.name(), "message": error.message()});
    if let Some(code) = error.code() {
        described["code"] = json!(code);
    }
    if let Some(data) = error.data::<Value>() {
        described["data"] = data;
    }
    described
}

fn event(event: Received<Value>) -> Value {
    let at = format!("{:.3}", jiff::Timestamp::try_from(event.at).unwrap());
    json!({"id": event.id, "name": event.name, "data": event.data, "at": at})
}

fn timed(data: Option<Value>) -> Value {
    match data {
        Some(data) => json!({"timedOut": false, "data": data}),
        None => json!({"timedOut": true}),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn instant(value: &Value) -> SystemTime {
    text(value).parse::<jiff::Timestamp>().unwrap().into()
}

/// A duration of the corpus.
pub(super) fn duration(value: &Value) -> Duration {
    if let Some(ms) = value.as_u64() {
        return ms.milliseconds();
    }
    let (mut total, mut rest) = (Duration::ZERO, text(value));
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let number: u64 = number.parse().unwrap();
        total += match &tail[..letters] {
            "ms" => number.milliseconds(),
            "s" => number.seconds(),
            "m" => number.minutes(),
            "h" => number.hours(),
            "d" => number.days(),
            "w" => number.weeks(),
            unit => panic!("no unit: {unit}"),
        };
        rest = &tail[letters..];
    }
    total
}
