//! The cart in process: each handler is a run on the state that the one before has left.
#![cfg(test)]

use std::collections::BTreeMap;

use backstitch::testing::{Outcome, TestRun};
use example_shopping_cart::{Content, Item, Payments, Receipt, app};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Default)]
struct Shop {
    payments: Payments,
    state: BTreeMap<String, Value>,
}

impl Shop {
    fn run(&self, handler: &str, input: impl Serialize) -> TestRun {
        let app = app(self.payments.clone());
        TestRun::new(&app, &format!("cart/{handler}")).key("ann").with_state(self.state.clone()).input(input)
    }

    async fn call(&mut self, handler: &str, input: impl Serialize) -> Outcome {
        let mut run = self.run(handler, input);
        let outcome = run.finish().await;
        self.state = run.state();
        outcome
    }
}

fn item(sku: &str, cents: u64, count: u64) -> Item {
    Item { sku: sku.to_owned(), cents, count }
}

#[tokio::test]
async fn what_is_added_twice_is_counted_and_looking_changes_nothing() {
    let mut shop = Shop::default();
    assert_eq!(shop.call("add", item("bulb", 300, 1)).await.ok::<u64>(), 300);
    assert_eq!(shop.call("add", item("lamp", 4_900, 1)).await.ok::<u64>(), 5_200);
    assert_eq!(shop.call("add", item("bulb", 300, 2)).await.ok::<u64>(), 5_800);
    let before = shop.state.clone();
    let content: Content = shop.call("show", ()).await.ok();
    assert_eq!((content.items.len(), content.cents, shop.state), (2, 5_800, before));
}

#[tokio::test]
async fn a_checkout_pays_once_and_empties_the_cart_whatever_is_lost() {
    for (checkpoints, crash) in [(false, false), (true, false), (false, true), (true, true)] {
        let state = [("items".to_owned(), json!([item("bulb", 300, 1)])), ("orders".to_owned(), json!(2))];
        let shop = Shop { state: state.into(), ..Shop::default() };
        let mut run = shop.run("checkout", ());
        run = if checkpoints { run.checkpoints() } else { run };
        run = if crash { run.crash_after("charge") } else { run };
        let receipt: Receipt = run.finish().await.ok();
        assert_eq!((receipt.order.as_str(), receipt.cents), ("ann-3", 300));
        assert_eq!(run.state(), [("items".to_owned(), json!([])), ("orders".to_owned(), json!(3))].into());
        assert_eq!((run.executions("charge"), shop.payments.taken()), (1 + u32::from(crash), 300));
    }
}

#[tokio::test]
async fn an_empty_cart_cannot_be_checked_out() {
    assert_eq!(Shop::default().call("checkout", ()).await.err().name(), "EmptyCart");
}
