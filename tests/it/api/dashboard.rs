//! The UI at its addresses: what is answered for pages, files, older files, and clients that have a file already. The UI is
//! the one that was built; where nobody built it, the server has to say how.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};

use super::world::World;

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> http::Response<Body> {
    let mut request = Request::builder().method(Method::GET).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    tower::ServiceExt::oneshot(world.router.clone(), request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(answer: http::Response<Body>) -> String {
    let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn header_of(answer: &http::Response<Body>, name: header::HeaderName) -> &str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn built() -> bool {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard/dist/index.html").exists()
}

#[tokio::test]
async fn the_root_leads_to_the_ui_and_the_api_stays_where_it_is() {
    let world = World::open().await;
    let root = get(&world, "/", &[]).await;
    assert_eq!((root.status(), header_of(&root, header::LOCATION)), (StatusCode::TEMPORARY_REDIRECT, "/ui/"));
    assert_eq!(get(&world, "/v1/runs", &[]).await.status(), StatusCode::OK);
    assert_eq!(get(&world, "/healthz", &[]).await.status(), StatusCode::OK);
    let unknown = get(&world, "/runs", &[]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(text(unknown).await.contains("unknown_route"));
}

#[tokio::test]
async fn the_ui_is_behind_the_guard_and_says_what_a_page_may_do() {
    let world = World::open().await;
    let request = Request::builder().uri("/ui/").header("host", "evil.example").body(Body::empty()).unwrap();
    let refused = tower::ServiceExt::oneshot(world.router.clone(), request).await.unwrap();
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    let page = get(&world, "/ui/runs/run_1?entry=a", &[]).await;
    let policy = header_of(&page, header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test]
async fn pages_are_asked_for_each_time_and_files_are_kept() {
    let world = World::open().await;
    let page = get(&world, "/ui/runs/run_1", &[]).await;
    if !built() {
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        assert!(text(page).await.contains("make dashboard"));
        return;
    }
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header_of(&page, header::CACHE_CONTROL), "no-cache");
    assert_eq!(header_of(&page, header::CONTENT_TYPE), "text/html");
    let tag = header_of(&page, header::ETAG).to_owned();
    let again = get(&world, "/ui/", &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let html = text(page).await;
    let script = html.split("src=\"").find_map(|rest| rest.strip_prefix("/ui/assets/")?.split('"').next()).unwrap();
    for (accepts, expected) in [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, identity", "")] {
        let file = get(&world, &format!("/ui/assets/{script}"), &[("accept-encoding", accepts)]).await;
        assert_eq!(file.status(), StatusCode::OK);
        assert_eq!(header_of(&file, header::CONTENT_ENCODING), expected, "{accepts}");
        assert_eq!(header_of(&file, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header_of(&file, header::CONTENT_TYPE), "text/javascript");
        assert_eq!(header_of(&file, header::VARY), "accept-encoding");
    }
    let gone = get(&world, "/ui/assets/index-of-another-build.js", &[]).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND, "a page in the place of a script would not parse");
}

#[tokio::test]
async fn nothing_outside_the_ui_is_served() {
    let world = World::open().await;
    for path in ["/ui/../Cargo.toml", "/ui/%2e%2e/Cargo.toml", "/ui/assets/../../../Cargo.toml", "/ui//etc/passwd"] {
        let answer = get(&world, path, &[]).await;
        assert!(!text(answer).await.contains("[package]"), "{path}");
    }
}
