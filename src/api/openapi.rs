//! The API's own description: an OpenAPI 3.1 document made from the same definitions that serve the requests.

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, Response};

use super::error::{Code, FieldError, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Backstitch",
        description = "Durable functions over plain HTTP. Errors are problem details (RFC 9457); every response bears `x-request-id`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody, FieldError, Code)),
    tags(
        (name = "events", description = "Facts that start runs and wake waiting ones"),
        (name = "functions", description = "What apps serve, and starting it"),
        (name = "runs", description = "Durable executions"),
        (name = "signals", description = "Messages to one run"),
        (name = "schedules", description = "What starts runs at times"),
        (name = "jobs", description = "One action on many runs"),
        (name = "apps", description = "Who serves functions, and where"),
        (name = "invocations", description = "What SDKs say and ask while a handler is at work"),
        (name = "dev", description = "What only a server for development has: a clock that can be skipped, and what went over the wire"),
        (name = "health", description = "Whether the server lives and takes work")
    )
)]
pub(super) struct Description;

/// Says of every operation what it answers when something is wrong.
pub(super) fn with_problems(mut document: Document) -> Document {
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut);
        operations.for_each(add_problem);
    }
    document
}

fn add_problem(operation: &mut Operation) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let mut response = Response::new("What went wrong");
    response.content.insert("application/problem+json".to_owned(), Content::new(Some(schema)).into());
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}
