//! A process that commits is killed, again and again: whatever it had been told is durable is in the file, and every
//! batch is there as a whole or not at all.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use backstitch_server::model::{Change, EventId, MarkKey, MarkScope, Payload, StateKey, StateRow, Timestamp};
use backstitch_server::store::Store;
use backstitch_server::store::sqlite::{SqliteConfig, SqliteStore};

const ROWS_PER_BATCH: u64 = 5;
const KILLS: u64 = 8;

fn rows(commit_no: u64) -> Vec<Change> {
    let row = |n| {
        let key = if n == 0 {
            StateKey::Fanout(EventId::new(Timestamp(1), commit_no, 0))
        } else {
            StateKey::Mark(MarkKey { scope: MarkScope::Event, key: format!("{commit_no:08} {n}").into() })
        };
        Change::StatePut(StateRow { key, wake_at: None, value: Payload::trusted(vec![b'7'; 2_000]) })
    };
    (0..ROWS_PER_BATCH).map(row).collect()
}

/// Commits until it is killed, and says on its output what was acknowledged.
#[test]
#[ignore = "the child process of the test below"]
fn child() {
    let mut dir = String::new();
    std::io::stdin().lock().read_line(&mut dir).unwrap();
    let store = SqliteStore::open(&SqliteConfig::new(dir.trim())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let owned = store.take_ownership(0).await.unwrap();
        for commit_no in owned.commit_no + 1.. {
            super::done(&store, owned.epoch, commit_no, rows(commit_no)).await;
            println!("acknowledged {commit_no}");
        }
    });
}

/// Lets a child commit for a while, kills it, and returns the last commit that it was told is durable.
fn commit_and_die(dir: &Path, commits: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", dir.display()).unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = lines.filter_map(|line| line.split_once("acknowledged ")?.1.parse::<u64>().ok());
    let mut last = acknowledged.nth(usize::try_from(commits).unwrap()).unwrap();
    // The child dies in the middle of whatever it is doing, its own lock and log left behind.
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still wrote before it died was acknowledged, too.
    last = acknowledged.last().unwrap_or(last);
    last
}

#[tokio::test]
async fn acknowledged_batches_survive_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let acknowledged = commit_and_die(dir.path(), 3 + 17 * kill);
        let store = super::sqlite(dir.path());
        let dump = store.dump(0).await.unwrap();
        assert!(dump.commit_no >= acknowledged, "{} of {acknowledged}", dump.commit_no);
        assert!(dump.commit_no <= acknowledged + 1, "one commit can be under way, not more");
        assert_eq!(dump.state.len() as u64, dump.commit_no * ROWS_PER_BATCH);
    }
}
