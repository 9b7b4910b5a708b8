//! The saga over whole runs, in process: the clock is skipped, the ledger is real.
#![cfg(test)]

use backstitch::testing::TestRun;
use example_order_saga::{Approval, Ledger, Order, Receipt, app};
use tempfile::TempDir;

fn order(sku: &str) -> Order {
    Order { id: "17".to_owned(), sku: sku.to_owned(), cents: 4_900, cool_off_ms: 5_000 }
}

/// A run of an order with a ledger of its own.
fn run(sku: &str) -> (TestRun, Ledger, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::at(folder.path().join("ledger"));
    (TestRun::new(&app(ledger.clone()), "order").input(order(sku)), ledger, folder)
}

fn booked(ledger: &Ledger) -> Vec<i64> {
    ledger.bookings().unwrap().iter().map(|booking| booking.cents).collect()
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_moves_money_once() {
    let (run, ledger, _folder) = run("lamp");
    let mut run = run.crash_after("charge");
    assert_eq!(run.until_waiting().await, ["cool-off"]);
    run.signal("approve", Approval { by: "ann".to_owned() });
    let receipt: Receipt = run.finish().await.ok();
    assert_eq!((receipt.parcel.as_str(), receipt.approved_by.as_str()), ("1Z-4-lamp", "ann"));
    assert_eq!((run.executions("charge"), booked(&ledger)), (2, vec![4_900]));
}

#[tokio::test]
async fn a_reservation_that_fails_five_times_refunds_the_charge() {
    let (mut run, ledger, _folder) = run("vase");
    assert_eq!(run.finish().await.err().name(), "OutOfStock");
    assert_eq!((run.executions("reserve"), booked(&ledger)), (5, vec![4_900, -4_900]));
    assert!(run.entry("$undo/charge").is_some() && run.entry("$undo/reserve").is_none());
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_moves_money_once() {
    let (run, ledger, _folder) = run("vase");
    let mut run = run.crash_after("$undo/charge");
    assert_eq!(run.finish().await.err().name(), "OutOfStock");
    assert_eq!((run.executions("$undo/charge"), booked(&ledger)), (2, vec![4_900, -4_900]));
}

#[tokio::test]
async fn an_order_that_is_cancelled_is_undone_the_last_first() {
    let (mut run, ledger, _folder) = run("lamp");
    assert_eq!(run.until_waiting().await, ["cool-off"]);
    run.cancel();
    assert_eq!(run.finish().await.err().name(), "CancelledError");
    let undone: Vec<String> =
        run.journal().into_iter().map(|record| record.id).filter(|id| id.starts_with("$undo/")).collect();
    assert_eq!((undone, booked(&ledger)), (vec!["$undo/reserve".into(), "$undo/charge".into()], vec![4_900, -4_900]));
}

#[tokio::test]
async fn an_order_that_nobody_approves_is_refunded() {
    let (mut run, ledger, _folder) = run("lamp");
    assert_eq!(run.finish().await.err().name(), "Unapproved");
    assert_eq!(booked(&ledger), [4_900, -4_900]);
}
