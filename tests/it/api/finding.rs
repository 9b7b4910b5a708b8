//! Finding runs by what they were given to be found by.

use serde_json::{Value, json};

use super::world::World;

async fn found(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/v1/runs?{query}")).await.json();
    let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn counted(world: &World, query: &str) -> Value {
    world.get(&format!("/v1/runs/counts?{query}")).await.json()
}

#[tokio::test]
async fn runs_are_found_by_tags_attributes_and_text() {
    let world = World::open().await;
    let start = async |n: u32, tags: Value| {
        let attributes = json!({"total": f64::from(n) * 50.5, "customer": format!("c-{n}"), "vip": n == 2, "n": n});
        let body = json!({"input": n, "runId": format!("order-{n}"), "tags": tags, "attributes": attributes});
        let run = world.start("echo", body).await;
        world.result(&run).await;
        run
    };
    let one = start(1, json!(["eu", "a&b=c"])).await;
    let two = start(2, json!(["eu", "us"])).await;
    let three = start(3, json!([])).await;
    let failed = world.start("fail", json!({"tags": ["eu"]})).await;
    world.result(&failed).await;

    let shown = world.get(&format!("/v1/runs/{one}")).await.json();
    let attributes = json!({"total": 50.5, "customer": "c-1", "vip": false, "n": 1});
    assert_eq!((&shown["tags"], &shown["attributes"]), (&json!(["a&b=c", "eu"]), &attributes));
    let plain = world.get(&format!("/v1/runs/{failed}")).await.json();
    assert_eq!((&plain["tags"], &plain["attributes"]), (&json!(["eu"]), &json!({})));

    for (query, runs) in [
        ("tag=eu", vec![&failed, &two, &one]),
        ("tag=eu&tag=us", vec![&two]),
        ("tag=a%26b%3Dc", vec![&one]),
        ("tag=eu&status=failed", vec![&failed]),
        ("tag=none", vec![]),
        ("attribute=total:gte:101", vec![&three, &two]),
        ("attribute=total:gte:101&attribute=total:lt:150", vec![&two]),
        ("attribute=customer:eq:c-3", vec![&three]),
        ("attribute=customer:prefix:c-&function=echo", vec![&three, &two, &one]),
        ("attribute=vip:eq:true", vec![&two]),
        ("attribute=n:eq:3&tag=eu", vec![]),
        ("attribute=customer:exists&status=failed", vec![]),
        ("name=order-", vec![&three, &two, &one]),
        ("name=order-3", vec![&three]),
        ("text=ORDER-2", vec![&two]),
        ("text=c-1", vec![&one]),
        ("text=shop/fail", vec![&failed]),
        ("trigger=event", vec![]),
    ] {
        assert_eq!(found(&world, query).await, runs.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    assert_eq!(found(&world, &format!("text={two}")).await, std::slice::from_ref(&two));
    assert_eq!(found(&world, &format!("root={two}")).await, std::slice::from_ref(&two));
    assert_eq!(counted(&world, "tag=eu").await, json!({"total": 3, "statuses": {"completed": 2, "failed": 1}}));
    assert_eq!(counted(&world, "tag=none").await, json!({"total": 0, "statuses": {}}));
    assert_eq!(counted(&world, "").await["total"], 4);

    let filter = json!({"tag": ["eu"], "attribute": ["total:lt:100"]});
    let job = world.post("/v1/jobs", json!({"action": "fork", "filter": filter, "dryRun": true}).to_string()).await;
    assert_eq!(job.json(), json!({"total": 1}));
}

#[tokio::test]
async fn pages_of_a_search_hang_together() {
    let world = World::open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.start("echo", json!({"input": n, "tags": ["t"]})).await);
    }
    ids.reverse();
    let first = world.get("/v1/runs?tag=t&limit=2").await.json();
    let next = first["next"].as_str().unwrap();
    world.get(&format!("/v1/runs?tag=u&limit=2&cursor={next}")).await.is_problem(422, "invalid", "cursor");
    assert_eq!(first["items"][1]["id"].as_str(), Some(&*ids[1]));
    assert_eq!(found(&world, &format!("tag=t&limit=2&cursor={next}")).await, ids[2..4]);
    assert_eq!(world.get("/v1/runs?tag=t&limit=5").await.json()["next"], Value::Null);
}

#[tokio::test]
async fn failures_are_grouped_by_what_went_wrong() {
    let world = World::open().await;
    let mut failed = Vec::new();
    for n in 0..7 {
        failed.push(world.start("fail", json!({"input": n, "tags": [if n < 2 { "old" } else { "new" }]})).await);
    }
    let other = world.start("echo", json!({})).await;
    for run in failed.iter().chain([&other]) {
        world.result(run).await;
    }
    let shown = world.get(&format!("/v1/runs/{}", failed[6])).await.json();
    let groups = world.get("/v1/failures").await.json();
    assert_eq!((&groups["lookedAt"], &groups["complete"]), (&json!(7), &json!(true)));
    let group = &groups["items"][0];
    assert_eq!(groups["items"].as_array().unwrap().len(), 1, "{groups:#}");
    for (field, wanted) in [
        ("app", json!("shop")),
        ("function", json!("fail")),
        ("count", json!(7)),
        ("name", shown["err"]["name"].clone()),
        ("message", shown["err"]["message"].clone()),
        ("lastAt", shown["endedAt"].clone()),
        ("runs", json!(failed.iter().rev().take(5).collect::<Vec<_>>())),
    ] {
        assert_eq!(group[field], wanted, "{field}");
    }
    let old = world.get("/v1/failures?tag=old&app=shop").await.json();
    assert_eq!((&old["items"][0]["count"], &old["lookedAt"]), (&json!(2), &json!(2)));
    let none = world.get("/v1/failures?function=echo").await.json();
    assert_eq!(none, json!({"items": [], "lookedAt": 0, "complete": true}));
    world.get("/v1/failures?status=failed").await.is_problem(422, "invalid", "status");
    world.get("/v1/failures?cursor=x").await.is_problem(422, "invalid", "cursor");
    world.get("/v1/failures?limit=0").await.is_problem(422, "invalid", "limit");
}

/// One group of failures is shown, counted and acted on by what tells it; runs that are still tried again for it are found as well.
#[tokio::test]
async fn one_group_of_failures_is_found_by_its_error() {
    let world = World::open().await;
    let mut lost = Vec::new();
    for n in [17, 4711] {
        lost.push(
            world.start("fail", json!({"input": {"name": "Lost", "message": format!("order {n} is lost")}})).await,
        );
    }
    let long = "ä".repeat(300);
    let other = world.start("fail", json!({"input": {"name": "Lost", "message": long}})).await;
    let echo = world.start("echo", json!({"input": "order 17 is lost"})).await;
    for run in lost.iter().chain([&other, &echo]) {
        world.result(run).await;
    }
    let groups = world.get("/v1/failures").await.json();
    let group = groups["items"].as_array().unwrap().iter().find(|group| group["count"] == 2).unwrap().clone();
    assert_eq!((&group["name"], &group["shape"]), (&json!("Lost"), &json!("order … is lost")));
    let text = |value: &Value| form_urlencoded::byte_serialize(value.as_str().unwrap().as_bytes()).collect::<String>();
    let of_group = format!("error=Lost&message={}", text(&group["shape"]));
    let newest_first = [lost[1].clone(), lost[0].clone()];
    assert_eq!(found(&world, &of_group).await, newest_first);
    assert_eq!(found(&world, "message=order+99+is+lost").await, newest_first, "a message stands for its shape");
    assert_eq!(found(&world, "error=Lost").await.len(), 3);
    assert_eq!(found(&world, "error=lost").await, Vec::<String>::new());
    assert_eq!(found(&world, "error=Lost&status=completed").await, Vec::<String>::new());
    assert_eq!(counted(&world, &of_group).await, json!({"total": 2, "statuses": {"failed": 2}}));
    world.get("/v1/runs?error=").await.is_problem(422, "invalid", "error");
    world.get("/v1/runs/counts?message=").await.is_problem(422, "invalid", "message");
    let filter = json!({"error": "Lost", "message": group["shape"]});
    let job = |dry_run| json!({"action": "retry", "filter": filter, "dryRun": dry_run}).to_string();
    assert_eq!(world.post("/v1/jobs", job(true)).await.json(), json!({"total": 2}));
    let begun = world.post("/v1/jobs", job(false)).await.json();
    let done = super::jobs::ended(&world, begun["id"].as_str().unwrap()).await;
    assert_eq!((&done["total"], &done["done"]), (&json!(2), &json!(2)), "{done}");
    assert_eq!(found(&world, &format!("previous={other}")).await, Vec::<String>::new(), "the others are left alone");
    let wrong = json!({"action": "retry", "filter": {"message": ""}});
    world.post("/v1/jobs", wrong.to_string()).await.is_problem(422, "invalid", "/filter/message");

    // What a row says of it.
    let page = world.get("/v1/runs?limit=200").await.json();
    let row = |id: &str| page["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap().clone();
    assert_eq!(row(&lost[0])["err"], json!({"name": "Lost", "message": "order 17 is lost"}));
    assert_eq!(row(&other)["err"]["message"], json!(format!("{}…", "ä".repeat(200))));
    assert_eq!(row(&echo).get("err"), None);
}
