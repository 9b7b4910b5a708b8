//! The slow model: the server waits for it, also the next server when the first one is killed meanwhile.

use serde_json::json;

use super::world::{Kind, World};

#[tokio::test]
async fn a_digest_is_made_although_the_server_is_killed_while_the_model_thinks() {
    let mut world = World::start(Kind::Node, "slow-model", "digests").await;
    let texts = json!(["one two three four five six seven", "eight nine"]);
    let run = world.start_run("digests/digest", &json!({ "input": { "texts": texts } })).await;
    world.printed(&format!("thinks about {run}/texts/0/summary")).await;
    world.kill_and_restart_server().await;
    let result = world.result(&run).await;
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["ok"]["title"], "one two three");
    assert_eq!(result["ok"]["summaries"], json!(["one two three four five six.", "eight nine."]));
    let title = world.entry(&run, "title").await;
    assert_eq!(
        (&title["op"], &title["params"]["request"]["headers"]["authorization"]),
        (&json!("fetch"), &json!("(hidden)"))
    );
}

#[tokio::test]
async fn whoever_asks_is_answered() {
    let world = World::start(Kind::Node, "slow-model", "digests").await;
    let (ended_well, printed) = world.run("ask", &[]).end().await;
    assert!(ended_well && printed.contains("- A backstitch goes back over the."), "{printed}");
    assert!(printed.contains("Left out, since the model refused: text 4."), "{printed}");
    assert!(printed.contains("The model thought for 4000 ms in all"), "{printed}");
}
