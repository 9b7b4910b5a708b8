//! A manifest: what an app says of itself, checked as a whole. All that is wrong with it is listed, each with the place
//! of the field, so that a developer mends it in one go.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::VERSION;
use super::op::policy_problem;
use super::problem::DeploymentHeader;
use super::reader::{read, shown, source_problem, text_problem};
use super::schedules::is_schedule;
use crate::limits::{
    FILTER_BYTES_MAX, FUNCTIONS_MAX, JSON_SCHEMA_BYTES_MAX, MANIFEST_PROBLEMS_MAX, NAME_BYTES_MAX,
    REQUEST_BYTES_DEFAULT, TRIGGERS_MAX,
};
use crate::model::{
    CancelOn, DeploymentLimits, FunctionConfig, Manifest, ObjectMode, RetryPolicy, Span, Text, Trigger,
};

/// A manifest that may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it says.
    pub manifest: Manifest,
    /// Where it says the deployment's handler answers, if not where it was asked.
    pub url: Option<String>,
    /// What it asks for that this version of the server does not do, each in a sentence that names the field.
    pub warnings: Vec<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer to the field, such as `/functions/0/triggers/1/if`.
    pub pointer: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or not an object.
    #[error("failed to read the manifest: {0}")]
    NotJson(String),
    /// The SDK speaks other versions of the protocol.
    #[error(
        "failed to agree on a protocol: the SDK speaks versions {min} to {max}, this server speaks version {VERSION}; {}",
        if *.min > VERSION { "update the server" } else { "update the SDK" }
    )]
    Version {
        /// The lowest that the SDK speaks.
        min: u64,
        /// The highest that the SDK speaks.
        max: u64,
    },
    /// Fields are wrong.
    #[error("failed to take the manifest: {}", list(.0))]
    Fields(Vec<FieldError>),
}

/// What a filter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterUse {
    /// It says over `event` which events start a run.
    Trigger,
    /// It says over `event` and `async` which events cancel which runs, with an equality to look the runs up by.
    CancelOn,
}

/// Reads a manifest. `check_filter` says what is wrong with a trigger's CEL filter. `header` is the value of the
/// response's `backstitch-deployment` header, where the manifest's hash stands.
pub fn decode_manifest(
    body: &[u8],
    header: Option<DeploymentHeader<'_>>,
    check_filter: &dyn Fn(&str, FilterUse) -> Result<(), String>,
) -> Result<Reading, ManifestError> {
    let document: Value = serde_json::from_slice(body).map_err(|error| ManifestError::NotJson(error.to_string()))?;
    let Value::Object(fields) = &document else {
        return Err(ManifestError::NotJson("it is JSON, but not an object".to_owned()));
    };
    version(fields)?;
    let mut reader = Reader { errors: Vec::new(), warnings: Vec::new(), schedule_ids: BTreeSet::new(), check_filter };
    let reading = reader.manifest(fields, header);
    match (reading, reader.errors) {
        (Some((manifest, url)), errors) if errors.is_empty() => {
            Ok(Reading { manifest, url, warnings: reader.warnings })
        }
        (_, mut errors) => {
            errors.truncate(MANIFEST_PROBLEMS_MAX);
            Err(ManifestError::Fields(errors))
        }
    }
}

/// Another version of the protocol may have another shape, so this comes before everything else.
fn version(fields: &Map<String, Value>) -> Result<(), ManifestError> {
    let bound = |name: &str| fields.get("protocol")?.get(name)?.as_u64();
    let (Some(min), Some(max)) = (bound("min"), bound("max")) else {
        let message = "must be an object with the integers `min` and `max`".to_owned();
        return Err(ManifestError::Fields(vec![FieldError { pointer: "/protocol".to_owned(), message }]));
    };
    if (min..=max).contains(&VERSION) { Ok(()) } else { Err(ManifestError::Version { min, max }) }
}

/// Reads fields and collects what is wrong with them.
pub(super) struct Reader<'a> {
    errors: Vec<FieldError>,
    warnings: Vec<String>,
    /// The ids of schedules so far.
    pub(super) schedule_ids: BTreeSet<Text>,
    check_filter: &'a dyn Fn(&str, FilterUse) -> Result<(), String>,
}

pub(super) type Fields = Map<String, Value>;

impl Reader<'_> {
    pub(super) fn error(&mut self, pointer: impl Into<String>, message: impl fmt::Display) {
        self.errors.push(FieldError { pointer: pointer.into(), message: message.to_string() });
    }

    fn manifest(
        &mut self,
        fields: &Fields,
        header: Option<DeploymentHeader<'_>>,
    ) -> Option<(Manifest, Option<String>)> {
        let app = self.segment(fields, "", "app");
        let sdk = self.name(fields, "", "sdk");
        let empty = Map::new();
        let deployment = self.object(fields, "", "deployment");
        let version = deployment.and_then(|fields| self.name(fields, "/deployment", "id"));
        let deployment = deployment.unwrap_or(&empty);
        let immutable = self.flag(deployment, "/deployment", "immutable", false);
        let url = self.optional_text(deployment, "/deployment", "url");
        let limits = self.limits(fields);
        let mut functions = self.functions(fields);
        self.objects(fields, &mut functions);
        let (app, sdk, version) = (app?, sdk?, version?);
        let hash = header.map_or_else(|| version.to_string(), |header| header.hash.to_owned());
        let (sdk, version) = (sdk.to_string(), version.to_string());
        Some((Manifest { app, sdk, version, hash, immutable, limits, functions }, url))
    }

    fn limits(&mut self, fields: &Fields) -> DeploymentLimits {
        let empty = Map::new();
        let limits = if fields.contains_key("limits") { self.object(fields, "", "limits") } else { None };
        let limits = limits.unwrap_or(&empty);
        let bytes = |reader: &mut Self, field: &str| match limits.get(field) {
            None | Some(Value::Null) => REQUEST_BYTES_DEFAULT,
            Some(value) => value.as_u64().filter(|bytes| *bytes >= 1_024).unwrap_or_else(|| {
                reader.error(format!("/limits/{field}"), "must be an integer of at least 1024 bytes");
                REQUEST_BYTES_DEFAULT
            }),
        };
        let (request_bytes, response_bytes) = (bytes(self, "requestBytes"), bytes(self, "responseBytes"));
        let seconds = match limits.get("seconds") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let seconds = value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= 1e9);
                if seconds.is_none() {
                    self.error("/limits/seconds", "must be a number of seconds greater than 0");
                }
                seconds.map(|seconds| seconds.ceil() as u64)
            }
        };
        let streams = self.flag(limits, "/limits", "streams", false);
        let outbound = self.flag(limits, "/limits", "outbound", false);
        DeploymentLimits { request_bytes, response_bytes, seconds, streams, outbound }
    }

    fn functions(&mut self, fields: &Fields) -> Vec<FunctionConfig> {
        let Some(list) = fields.get("functions").and_then(Value::as_array) else {
            self.error("/functions", "must be a list of functions");
            return Vec::new();
        };
        if list.len() > FUNCTIONS_MAX {
            self.error("/functions", format_args!("has {} functions, at most {FUNCTIONS_MAX} are allowed", list.len()));
            return Vec::new();
        }
        let mut ids = BTreeSet::new();
        let mut functions = Vec::with_capacity(list.len());
        for (n, item) in list.iter().enumerate() {
            let at = format!("/functions/{n}");
            let Value::Object(function) = item else {
                self.error(at, "must be an object");
                continue;
            };
            let Some(config) = self.function(function, &at) else { continue };
            if !ids.insert(config.id.clone()) {
                self.error(format!("{at}/id"), format_args!("`{}` is the id of another function, too", config.id));
            }
            functions.push(config);
        }
        self.check_failure_handlers(&functions);
        functions
    }

    /// Objects: each of their handlers is a function, too, called `object/handler`.
    fn objects(&mut self, fields: &Fields, functions: &mut Vec<FunctionConfig>) {
        let list = match fields.get("objects") {
            None | Some(Value::Null) => return,
            Some(Value::Array(list)) => list,
            Some(_) => return self.error("/objects", "must be a list of objects"),
        };
        let mut ids = BTreeSet::new();
        for (n, item) in list.iter().enumerate() {
            let at = format!("/objects/{n}");
            let Value::Object(object) = item else {
                self.error(at, "must be an object with `id` and `handlers`");
                continue;
            };
            let id = self.segment(object, &at, "id");
            let handlers = match object.get("handlers").and_then(Value::as_array) {
                Some(handlers) if !handlers.is_empty() => handlers,
                _ => {
                    self.error(format!("{at}/handlers"), "must be a list of at least one handler");
                    continue;
                }
            };
            let Some(id) = id else { continue };
            if !ids.insert(id.clone()) {
                self.error(format!("{at}/id"), format_args!("`{id}` is the id of another object, too"));
            }
            if functions.len() + handlers.len() > FUNCTIONS_MAX {
                let message = format!("is too much: an app may have {FUNCTIONS_MAX} functions and handlers in all");
                return self.error(format!("{at}/handlers"), message);
            }
            for (n, item) in handlers.iter().enumerate() {
                let at = format!("{at}/handlers/{n}");
                let Some(config) = self.handler(&id, item, &at) else { continue };
                if functions.iter().any(|other| other.id == config.id) {
                    self.error(format!("{at}/id"), "is the id of another handler of this object, too");
                }
                functions.push(config);
            }
        }
    }

    fn handler(&mut self, object: &str, item: &Value, at: &str) -> Option<FunctionConfig> {
        let Value::Object(handler) = item else {
            self.error(at, "must be an object with `id` and `mode`");
            return None;
        };
        let mode = handler.get("mode").and_then(Value::as_str).and_then(ObjectMode::parse);
        if mode.is_none() {
            self.error(format!("{at}/mode"), "must be \"exclusive\" or \"shared\"");
        }
        if handler.get("triggers").is_some_and(|triggers| !is_nothing(triggers)) {
            let message = "must be left out: an event has no key; trigger a function that calls the handler";
            self.error(format!("{at}/triggers"), message);
            return None;
        }
        let config = self.function(handler, at)?;
        let id = format!("{object}/{}", config.id);
        if id.len() > NAME_BYTES_MAX {
            self.error(format!("{at}/id"), format_args!("is too long: `{id}` has more than {NAME_BYTES_MAX} bytes"));
        }
        Some(FunctionConfig { id: id.into(), mode: Some(mode?), ..config })
    }

    fn function(&mut self, function: &Fields, at: &str) -> Option<FunctionConfig> {
        let id = self.segment(function, at, "id");
        let name = self.optional_text(function, at, "name");
        let triggers = self.triggers(function, at);
        let schedules = self.schedules(function, id.as_ref(), at);
        let retry = self.retry(function, at);
        let (start_timeout, run_timeout, invocation_timeout) = self.timeouts(function, at);
        let cancel_on = self.cancel_on(function, at);
        let failure_of = self.failure_of(function, at);
        let input = self.json_schema(function, at, "input");
        for policy in
            ["concurrency", "throttle", "rateLimit", "debounce", "batch", "priority", "singleton", "idempotency"]
        {
            if function.get(policy).is_some_and(|value| !is_nothing(value)) {
                self.warnings
                    .push(format!("{at}/{policy} has no effect: this version of the server does not do flow control"));
            }
        }
        Some(FunctionConfig {
            id: id?,
            name,
            triggers,
            schedules,
            retry,
            invocation_timeout,
            start_timeout,
            run_timeout,
            cancel_on,
            mode: None,
            failure_of,
            input,
        })
    }

    /// The JSON Schema of an input or of an event. It is shown and not applied, so what it says is not checked.
    fn json_schema(&mut self, fields: &Fields, at: &str, field: &str) -> Option<Value> {
        let schema = fields.get(field).filter(|schema| !schema.is_null())?;
        if !schema.is_object() && !schema.is_boolean() {
            self.error(format!("{at}/{field}"), "must be a JSON Schema, which is an object");
            return None;
        }
        let bytes = schema.to_string().len();
        if bytes > JSON_SCHEMA_BYTES_MAX {
            let warning =
                format!("{at}/{field} is not shown: it has {bytes} bytes, at most {JSON_SCHEMA_BYTES_MAX} are kept");
            self.warnings.push(warning);
            return None;
        }
        Some(schema.clone())
    }

    fn triggers(&mut self, function: &Fields, at: &str) -> Vec<Trigger> {
        let list = match function.get("triggers") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.error(format!("{at}/triggers"), "must be a list");
                return Vec::new();
            }
        };
        if list.len() > TRIGGERS_MAX {
            self.error(
                format!("{at}/triggers"),
                format_args!("has {} triggers, at most {TRIGGERS_MAX} are allowed", list.len()),
            );
            return Vec::new();
        }
        list.iter().enumerate().filter_map(|(n, item)| self.trigger(item, &format!("{at}/triggers/{n}"))).collect()
    }

    fn trigger(&mut self, item: &Value, at: &str) -> Option<Trigger> {
        let Value::Object(trigger) = item else {
            self.error(at, "must be an object with `event`, `cron` or `every`");
            return None;
        };
        // Those are read on their own.
        if trigger.contains_key("failureOf") || is_schedule(trigger) {
            return None;
        }
        let event = self.name(trigger, at, "event");
        let filter = self.filter(trigger, at, FilterUse::Trigger);
        let schema = self.json_schema(trigger, at, "schema");
        Some(Trigger { event: event?, filter, schema })
    }

    fn filter(&mut self, fields: &Fields, at: &str, used: FilterUse) -> Option<Text> {
        let filter = match fields.get("if") {
            None | Some(Value::Null) => return None,
            Some(Value::String(filter)) => Text::from(filter.as_str()),
            Some(_) => {
                self.error(format!("{at}/if"), "must be a text with a CEL expression");
                return None;
            }
        };
        let checked = match source_problem(&filter, FILTER_BYTES_MAX) {
            Some(problem) => Err(problem),
            None => (self.check_filter)(&filter, used),
        };
        if let Err(problem) = checked {
            self.error(format!("{at}/if"), format_args!("`{}` is not a filter: {problem}", shown(&filter, 200)));
        }
        Some(filter)
    }

    fn cancel_on(&mut self, function: &Fields, at: &str) -> Vec<CancelOn> {
        let list = match function.get("cancelOn") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) if list.len() <= TRIGGERS_MAX => list,
            Some(_) => {
                self.error(format!("{at}/cancelOn"), format_args!("must be a list of at most {TRIGGERS_MAX}"));
                return Vec::new();
            }
        };
        let mut cancel_on = Vec::with_capacity(list.len());
        for (n, item) in list.iter().enumerate() {
            let at = format!("{at}/cancelOn/{n}");
            let Value::Object(fields) = item else {
                self.error(at, "must be an object with `event` and `if`");
                continue;
            };
            let event = self.name(fields, &at, "event");
            let filter = self.filter(fields, &at, FilterUse::CancelOn);
            if filter.is_none() && !fields.contains_key("if") {
                self.error(
                    format!("{at}/if"),
                    "must say which runs are meant, such as `async.data.orderId == event.data.orderId`",
                );
            }
            cancel_on.extend(event.zip(filter).map(|(event, filter)| CancelOn { event, filter }));
        }
        cancel_on
    }

    /// The function that this one is the failure handler of.
    fn failure_of(&mut self, function: &Fields, at: &str) -> Option<Text> {
        let triggers = function.get("triggers")?.as_array()?;
        let mut found = None;
        for (n, trigger) in triggers.iter().enumerate().take(TRIGGERS_MAX) {
            let Some(fields) = trigger.as_object().filter(|fields| fields.contains_key("failureOf")) else { continue };
            let at = format!("{at}/triggers/{n}");
            if found.is_some() {
                self.error(&*at, "is the second `failureOf`: a function handles the failures of one other");
            }
            found = self.segment(fields, &at, "failureOf");
        }
        found
    }

    /// Failure handlers belong to functions of the same app, one each.
    fn check_failure_handlers(&mut self, functions: &[FunctionConfig]) {
        let mut handled = BTreeSet::new();
        for (n, config) in functions.iter().enumerate() {
            let Some(of) = &config.failure_of else { continue };
            let at = format!("/functions/{n}/triggers");
            if !functions.iter().any(|other| other.id == *of) || *of == config.id {
                self.error(at, format_args!("`failureOf` names `{of}`, which is no other function of this app"));
            } else if !handled.insert(of.clone()) {
                self.error(at, format_args!("`{of}` has another failure handler already"));
            }
        }
    }

    fn retry(&mut self, function: &Fields, at: &str) -> RetryPolicy {
        let Some(value) = function.get("retry").filter(|value| !value.is_null()) else { return RetryPolicy::default() };
        let text = value.to_string();
        let policy = read::<RetryPolicy>(text.as_bytes());
        let problem = match &policy {
            Ok(policy) => policy_problem(policy),
            Err(problem) => Some(problem.clone()),
        };
        if let Some(problem) = problem {
            let field = if problem.path.is_empty() { String::new() } else { format!("/{}", problem.path) };
            self.error(format!("{at}/retry{field}"), without_position(&problem.problem));
        }
        policy.unwrap_or_default()
    }

    /// How long runs may wait for their start, may take, and how long one invocation may take.
    fn timeouts(&mut self, function: &Fields, at: &str) -> (Option<Span>, Option<Span>, Option<Span>) {
        let Some(timeouts) = function.get("timeouts").filter(|value| !value.is_null()) else {
            return (None, None, None);
        };
        let Value::Object(timeouts) = timeouts else {
            self.error(format!("{at}/timeouts"), "must be an object");
            return (None, None, None);
        };
        let at = format!("{at}/timeouts");
        let mut positive = |field: &str| {
            let span = self.duration(timeouts, &at, field)?;
            if span.0 == 0 {
                self.error(format!("{at}/{field}"), "must be longer than 0");
            }
            Some(span)
        };
        (positive("start"), positive("run"), positive("invocation"))
    }

    pub(super) fn duration(&mut self, fields: &Fields, at: &str, field: &str) -> Option<Span> {
        let value = fields.get(field).filter(|value| !value.is_null())?;
        let span = match value {
            Value::String(text) => text.parse::<Span>().map_err(|error| error.to_string()),
            Value::Number(number) if number.is_u64() => {
                Span::bounded(number.as_u64().unwrap_or(u64::MAX)).map_err(|error| error.to_string())
            }
            _ => Err("must be a duration such as \"1h30m\", or integer milliseconds".to_owned()),
        };
        span.map_err(|message| self.error(format!("{at}/{field}"), message)).ok()
    }

    fn object<'v>(&mut self, fields: &'v Fields, at: &str, field: &str) -> Option<&'v Fields> {
        let object = fields.get(field).and_then(Value::as_object);
        if object.is_none() {
            self.error(format!("{at}/{field}"), "must be an object");
        }
        object
    }

    fn name(&mut self, fields: &Fields, at: &str, field: &str) -> Option<Text> {
        let Some(text) = fields.get(field).and_then(Value::as_str) else {
            self.error(format!("{at}/{field}"), "must be a text");
            return None;
        };
        match text_problem(text, NAME_BYTES_MAX) {
            Some(problem) => {
                self.error(format!("{at}/{field}"), problem);
                None
            }
            None => Some(text.into()),
        }
    }

    /// A name that is one segment of `{app}/{function}`.
    pub(super) fn segment(&mut self, fields: &Fields, at: &str, field: &str) -> Option<Text> {
        let name = self.name(fields, at, field)?;
        if name.contains('/') {
            self.error(format!("{at}/{field}"), "may not contain `/`: functions are called {app}/{function}");
            return None;
        }
        Some(name)
    }

    fn optional_text(&mut self, fields: &Fields, at: &str, field: &str) -> Option<String> {
        match fields.get(field) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.name(fields, at, field)?.to_string()),
        }
    }

    fn flag(&mut self, fields: &Fields, at: &str, field: &str, absent: bool) -> bool {
        match fields.get(field) {
            None | Some(Value::Null) => absent,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.error(format!("{at}/{field}"), "must be true or false");
                absent
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The place within the text that was read says nothing to a reader who never saw that text.
fn without_position(problem: &str) -> &str {
    problem.split(" at line ").next().unwrap_or(problem)
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{}: {}", error.pointer, error.message)).collect::<Vec<_>>().join("; ")
}
