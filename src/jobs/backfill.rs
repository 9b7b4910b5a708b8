//! Backfills: the runs of a schedule's times in a range, so many at a time, in the order of the times. What is under way is
//! known from the tables: after a restart a backfill goes through the times again from where all before is done, and finds
//! the runs that it has made, because their ids follow from the times and from the job.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::Parts;
use crate::engine::{Command, Fork, ForkFrom, Reply, RunTick, fork_id};
use crate::limits::{BACKFILL_LOOK_MS, JOB_PAGE, JOB_PAUSE_MS};
use crate::model::{Backfill, Job, JobId, JobStatus, Origin, Payload, RunId, RunStatus, Text, Timestamp, Timetable};
use crate::processor::{Declined, Watch};
use crate::store::{RunView, StoreError, TicksPage};

/// One backfill and what of it is under way.
pub(super) struct Course {
    pub(super) job: Job,
    ask: Backfill,
    input: Payload,
    table: Timetable,
    /// The next time to see to, and the one before it.
    next: Option<Timestamp>,
    previous: Option<Timestamp>,
    running: BTreeMap<Timestamp, RunId>,
    /// Times that are done behind one that is not: why not well, if so.
    ended: BTreeMap<Timestamp, Option<String>>,
}

/// A run of a backfill changed.
pub(super) struct Heard {
    job: JobId,
    at: Timestamp,
    run: RunId,
    watch: Watch,
}

/// All backfills that are under way.
#[derive(Default)]
pub(super) struct Backfills {
    pub(super) courses: Vec<Course>,
    watches: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// Something stood in the way the last time.
    stumbled: bool,
}

/// What becomes of one time.
enum Seen {
    Running(RunId),
    Ended(Option<String>),
    /// The server is busy or stops: it is asked again.
    Later,
}

impl Backfills {
    /// Takes up a job. Nothing when its schedule is gone.
    pub(super) async fn take_up(&mut self, parts: &Parts, job: Job) -> Result<Result<(), Job>, StoreError> {
        let Some(ask) = job.options.backfill.clone() else { return Ok(Err(job)) };
        let Some(row) = parts.store.schedule(ask.schedule.clone()).await? else { return Ok(Err(job)) };
        let Ok(table) = Timetable::of(&row.schedule.spec.timing) else { return Ok(Err(job)) };
        let next = table.after(Timestamp(job.position)).filter(|at| *at < ask.until);
        let previous = next.and_then(|next| table.before(next));
        let (running, ended, input) = (BTreeMap::new(), BTreeMap::new(), row.schedule.spec.input);
        self.courses.push(Course { job, ask, input, table, next, previous, running, ended });
        Ok(Ok(()))
    }

    /// Whether something can be done without waiting.
    fn has_room(&self) -> bool {
        !self.stumbled && self.courses.iter().any(|course| course.has_room() || course.is_done())
    }

    /// Waits until something can be done. Never ends while there is nothing under way. May be dropped at any time.
    pub(super) async fn wait(&mut self) -> Option<Heard> {
        if self.courses.is_empty() {
            return std::future::pending().await;
        }
        if self.has_room() {
            return None;
        }
        let pause = if self.stumbled { JOB_PAUSE_MS } else { BACKFILL_LOOK_MS };
        tokio::select! {
            Some(heard) = self.watches.next(), if !self.watches.is_empty() => Some(heard),
            () = tokio::time::sleep(Duration::from_millis(pause)) => None,
        }
    }

    /// Sees to one run that changed, or to all of them, and begins what there is room for. Returns the jobs that are done.
    pub(super) async fn work(&mut self, parts: &Parts, heard: Option<Heard>) -> Result<Vec<Job>, StoreError> {
        self.stumbled = false;
        let mut done = Vec::new();
        let all = heard.is_none();
        if let Some(Heard { job, at, run, watch }) = heard
            && let Some(course) = self.courses.iter_mut().find(|course| course.job.id == job)
        {
            course.look(parts, at).await?;
            if course.running.get(&at) == Some(&run) {
                self.watches.push(changed(job, at, run, watch));
            }
        }
        for course in &mut self.courses {
            let before = course.job.clone();
            let times: Vec<Timestamp> = course.running.keys().copied().filter(|_| all).collect();
            for at in times {
                course.look(parts, at).await?;
            }
            for (at, run) in course.begin(parts, &mut self.stumbled).await? {
                let watch = parts.cluster.owner_of(run).watch(run);
                // What it did before it was followed is not heard of.
                course.look(parts, at).await?;
                self.watches.push(changed(course.job.id, at, run, watch));
            }
            course.settle();
            if course.is_done() {
                course.job.status = JobStatus::Done;
                course.job.ended_at = Some(parts.clock.wall());
                done.push(course.job.clone());
            }
            if course.job != before {
                parts.store.put_job(course.job.clone()).await?;
            }
        }
        self.courses.retain(|course| course.job.status == JobStatus::Running);
        Ok(done)
    }
}

fn changed(job: JobId, at: Timestamp, run: RunId, mut watch: Watch) -> BoxFuture<'static, Heard> {
    async move {
        watch.changed().await;
        Heard { job, at, run, watch }
    }
    .boxed()
}

impl Course {
    fn has_room(&self) -> bool {
        self.next.is_some() && self.running.len() < self.ask.concurrency as usize
    }

    fn is_done(&self) -> bool {
        self.next.is_none() && self.running.is_empty() && self.ended.is_empty()
    }

    /// Counts what is done without a gap, and moves the position behind it.
    fn settle(&mut self) {
        while let Some((at, _)) = self.ended.first_key_value().map(|(at, why)| (*at, why.is_some()))
            && self.running.first_key_value().is_none_or(|(first, _)| *first > at)
            && let Some(why) = self.ended.remove(&at)
        {
            self.job.position = at.0;
            match why {
                None => self.job.done += 1,
                Some(why) => {
                    self.job.failed += 1;
                    self.job.last_error = Some(format!("{at}: {why}"));
                }
            }
        }
    }

    /// Whether the run of a time has ended meanwhile.
    async fn look(&mut self, parts: &Parts, at: Timestamp) -> Result<(), StoreError> {
        let Some(run) = self.running.get(&at).copied() else { return Ok(()) };
        let mut view = parts.store.run(run).await?;
        if let Some(of_chain) = view.as_ref().filter(|view| view.head.status == RunStatus::Continued) {
            let first = of_chain.head.chain.unwrap_or(run);
            let newest = parts.store.newest_of_chain(first).await?.unwrap_or(run);
            self.running.insert(at, newest);
            view = parts.store.run(newest).await?;
        }
        match view.map(|view| view.head.status) {
            Some(status) if !status.is_terminal() || status == RunStatus::Continued => {}
            status => {
                self.running.remove(&at);
                self.ended.insert(at, status.and_then(badly));
            }
        }
        Ok(())
    }

    /// Begins times as far as there is room, a page at a time. Returns those whose runs are under way.
    async fn begin(&mut self, parts: &Parts, stumbled: &mut bool) -> Result<Vec<(Timestamp, RunId)>, StoreError> {
        let Some(first) = self.next.filter(|_| self.has_room()) else { return Ok(Vec::new()) };
        let times = std::iter::successors(Some(first), |at| self.table.after(*at));
        let times: Vec<Timestamp> = times.take_while(|at| *at < self.ask.until).take(JOB_PAGE).collect();
        let until = times.last().map_or(first, |last| Timestamp(last.0 + 1));
        let page = TicksPage { schedule: self.ask.schedule.clone(), from: first, until, limit: JOB_PAGE };
        let with_run: BTreeMap<Timestamp, RunId> =
            parts.store.ticks(page).await?.into_iter().map(|tick| (tick.at, tick.run)).collect();
        let mut begun = Vec::new();
        for at in times {
            if !self.has_room() || *parts.stop.borrow() {
                break;
            }
            match self.see(parts, at, with_run.get(&at).copied()).await? {
                Seen::Later => {
                    *stumbled = true;
                    break;
                }
                Seen::Running(run) => {
                    self.running.insert(at, run);
                    begun.push((at, run));
                }
                Seen::Ended(why) => drop(self.ended.insert(at, why)),
            }
            self.previous = Some(at);
            self.next = self.table.after(at).filter(|next| *next < self.ask.until);
        }
        Ok(begun)
    }

    /// Sees to one time, which may have a run already.
    async fn see(&self, parts: &Parts, at: Timestamp, run: Option<RunId>) -> Result<Seen, StoreError> {
        let view = match run {
            Some(run) => parts.store.run(run).await?,
            None => None,
        };
        let command = match &view {
            None => Command::RunTick(RunTick {
                key: self.ask.schedule.clone(),
                at: Some(at),
                previous: self.previous,
                job: Some(self.job.id.to_string().into()),
            }),
            Some(view) if !view.head.status.is_terminal() => return Ok(Seen::Running(view.head.id)),
            Some(view) if self.ask.reprocess.applies_to(view.head.status) && !self.made(view) => {
                Command::Fork(Box::new(Fork {
                    run: view.head.id,
                    from: ForkFrom::Edits,
                    edits: Vec::new(),
                    input: Some(self.input.clone()),
                    cause: Some(self.cause()),
                    dry_run: false,
                }))
            }
            Some(view) if self.made(view) => return Ok(Seen::Ended(badly(view.head.status))),
            Some(_) => return Ok(Seen::Ended(None)),
        };
        let owner = match view {
            Some(view) => parts.cluster.owner_of(view.head.id),
            None => parts.cluster.owner_of_schedule(&self.ask.schedule),
        };
        Ok(match owner.submit(command).await {
            Ok(Reply::Run { id, .. } | Reply::Forked { id, .. }) => Seen::Running(id),
            Ok(reply) => Seen::Ended(Some(format!("the owner answered {reply:?}"))),
            Err(Declined::Refused(refusal)) => Seen::Ended(Some(refusal.to_string())),
            Err(Declined::Busy { .. } | Declined::Unavailable(_)) => Seen::Later,
        })
    }

    /// What makes the runs that are made again.
    fn cause(&self) -> Text {
        format!("job {}", self.job.id).into()
    }

    /// Whether this job made a run.
    fn made(&self, view: &RunView) -> bool {
        #[derive(serde::Deserialize)]
        struct Facts {
            backfill: Option<JobId>,
        }
        match view.head.previous.filter(|previous| previous.origin == Origin::Fork) {
            Some(previous) => fork_id(previous.run, &self.cause()) == view.head.id,
            None => view.input.params.read::<Facts>().is_ok_and(|facts| facts.backfill == Some(self.job.id)),
        }
    }
}

/// How a run ended, unless it ended well.
fn badly(status: RunStatus) -> Option<String> {
    (status != RunStatus::Completed).then(|| format!("its run is {status}"))
}
