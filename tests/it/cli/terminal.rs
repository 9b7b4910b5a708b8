//! What moves on a terminal: a real one, made by `script`, of a known size. Linux only, because `script` has other flags
//! elsewhere.
#![cfg(target_os = "linux")]

use tokio::process::Command;

use super::world::{World, run, shop};

/// Runs the binary on a terminal of this size, for at most three seconds, and returns what it wrote there.
async fn on_terminal(world: &World, columns: usize, rows: usize, arguments: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_backstitch");
    let inner = format!("stty cols {columns} rows {rows}; exec timeout -s INT 3 '{binary}' {arguments}");
    let mut command = Command::new("script");
    command.args(["-qec", &inner, "/dev/null"]).env("BACKSTITCH_URL", world.server.url()).env("TERM", "xterm");
    command.current_dir(world.dir.path()).kill_on_drop(true).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).env_remove("NO_COLOR");
    run(command).await.out
}

/// The last picture, line by line, without colours.
fn last_picture(written: &str) -> Vec<String> {
    let picture = written.split("\u{1b}[J").filter(|picture| picture.contains('\n')).last().expect("a picture");
    // The move to its first line comes before it.
    let picture = picture.rsplit("A\r").next().unwrap_or(picture);
    let mut plain = String::new();
    let mut in_escape = false;
    for c in picture.chars() {
        match c {
            '\u{1b}' => in_escape = true,
            _ if in_escape => in_escape = !c.is_ascii_alphabetic(),
            _ => plain.push(c),
        }
    }
    plain.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

async fn world() -> (World, crate::support::peer::Peer) {
    let world = World::new().await;
    let app = shop().await;
    world.run(&["apps", "add", &app.url()]).await.expect(0, &["shop"]);
    (world, app)
}

#[tokio::test]
async fn a_picture_fits_the_terminal_and_keeps_its_first_line() {
    let (world, _app) = world().await;
    world.run(&["call", "shop/fail", "--run-id", "f"]).await.expect(1, &[]);
    let wide = on_terminal(&world, 80, 24, "run shop/fail/f --watch").await;
    let picture = last_picture(&wide);
    assert!(picture[0].starts_with("shop/fail  f  failed"), "{wide:?}");
    assert_eq!(picture.last().unwrap(), "└─ ✗ OutOfStock: none left");
    let sent = world.run(&["send", "order/created", "{}"]).await.expect(0, &[]);
    let order = sent.out.split_whitespace().find(|word| word.starts_with("run_")).unwrap();
    world.run(&["run", order, "--watch"]).await.expect(0, &["completed"]);
    let small = on_terminal(&world, 30, 4, &format!("run {order} --watch")).await;
    let picture = last_picture(&small);
    assert_eq!(picture.len(), 3, "{small:?}");
    assert!(picture[0].starts_with("shop/order  completed"), "{small:?}");
    assert!(picture.iter().all(|line| line.chars().count() <= 30), "{small:?}");
    assert_eq!(picture[1..], ["⋮  2 more lines", "└─ ✓ \"shipped\""], "{small:?}");
}

#[tokio::test]
async fn runs_are_followed_in_a_table_with_whole_ids() {
    let (world, _app) = world().await;
    let name = "a-name-that-is-longer-than-what-is-left";
    let started = world.run(&["call", "shop/wait", "--no-wait", "--run-id", name]).await.expect(0, &[]);
    let id = started.out.trim();
    let arguments = "runs --watch";
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        world.run(&["signal", id, "approve", "1"]).await.expect(0, &[]);
    };
    let (written, ()) = tokio::join!(on_terminal(&world, 80, 24, arguments), ending);
    assert!(written.contains("suspended"), "{written:?}");
    let picture = last_picture(&written);
    assert!(picture[0].starts_with("RUN"), "{written:?}");
    assert!(picture[1].starts_with(&format!("{id}  shop/wait  completed")), "{written:?}");
    assert_eq!(picture.len(), 2, "one row a run: {written:?}");
    world.run(&["runs", "--watch"]).await.expect(2, &["--json"]);
}
