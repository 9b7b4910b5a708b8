//! The Rust of the guides compiles as it stands there: what a reader copies must not be wrong. Only doctests see this file.

#[doc = include_str!("../../docs/guides/agent-with-tools.md")]
struct AgentWithTools;

#[doc = include_str!("../../docs/guides/calling-slow-apis.md")]
struct CallingSlowApis;

#[doc = include_str!("../../docs/guides/children.md")]
struct Children;

#[doc = include_str!("../../docs/guides/crash-safety.md")]
struct CrashSafety;

#[doc = include_str!("../../docs/guides/failures.md")]
struct Failures;

#[doc = include_str!("../../docs/guides/finding-runs.md")]
struct FindingRuns;

#[doc = include_str!("../../docs/guides/hosts.md")]
struct Hosts;

#[doc = include_str!("../../docs/guides/human-approval.md")]
struct HumanApproval;

#[doc = include_str!("../../docs/guides/many-at-once.md")]
struct ManyAtOnce;

#[doc = include_str!("../../docs/guides/payment-saga.md")]
struct PaymentSaga;

#[doc = include_str!("../../docs/guides/repairing.md")]
struct Repairing;

#[doc = include_str!("../../docs/guides/schedules.md")]
struct Schedules;

#[doc = include_str!("../../docs/guides/shopping-cart.md")]
struct ShoppingCart;

#[doc = include_str!("../../docs/guides/stopping.md")]
struct Stopping;

#[doc = include_str!("../../docs/guides/streaming.md")]
struct Streaming;

#[doc = include_str!("../../docs/guides/testing.md")]
struct Testing;

#[doc = include_str!("../../docs/guides/time-outs.md")]
struct TimeOuts;

#[doc = include_str!("../../docs/guides/versioning.md")]
struct Versioning;
