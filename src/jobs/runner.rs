//! The loop: requests come in between two pages, jobs take turns page by page, and what a page led to is written with the
//! position behind it.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, watch};

use super::backfill::Backfills;
use super::{JobError, NewJob, Parts, Reply, Request, matching};
use crate::engine::{Command, Fork, ForkFrom, Refusal};
use crate::limits::{JOB_PAGE, JOB_PARALLEL_MAX, JOB_PAUSE_MS, JOBS_RUNNING_MAX};
use crate::model::{Backfill, Job, JobAction, JobFilter, JobId, JobOptions, JobStatus, MoveTo, Origin, RunHead, RunId};
use crate::processor::Declined;
use crate::store::{RunFilter, StoreError};

pub(super) struct Runner {
    parts: Parts,
    requests: mpsc::Receiver<Request>,
    running: VecDeque<Job>,
    backfills: Backfills,
}

/// What became of an action on one run.
enum Acted {
    Done,
    Failed(String),
    /// The server stops: the page is done again.
    Interrupted,
}

impl Runner {
    pub(super) fn new(parts: Parts, requests: mpsc::Receiver<Request>) -> Runner {
        Runner { parts, requests, running: VecDeque::new(), backfills: Backfills::default() }
    }

    pub(super) async fn run(mut self) {
        let mut stop = self.parts.stop.clone();
        while let Err(error) = self.take_up().await {
            tracing::warn!(%error, "jobs cannot be read; they are tried again");
            if pause(&self.parts.stop).await {
                return;
            }
        }
        loop {
            let idle = self.running.is_empty();
            tokio::select! {
                () = stopped(&mut stop) => return,
                Some(request) = self.requests.recv() => self.take(request).await,
                heard = self.backfills.wait() => {
                    match self.backfills.work(&self.parts, heard).await {
                        Ok(done) => done.iter().for_each(told),
                        Err(error) => {
                            tracing::warn!(%error, "a backfill cannot go on; it is tried again");
                            if pause(&self.parts.stop).await {
                                return;
                            }
                        }
                    }
                }
                () = std::future::ready(()), if !idle => {
                    if let Err(error) = self.page().await {
                        tracing::warn!(%error, "a job cannot go on; it is tried again");
                        if pause(&self.parts.stop).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// What an earlier server left.
    async fn take_up(&mut self) -> Result<(), StoreError> {
        let jobs = self.parts.store.jobs().await?;
        let running = jobs.into_iter().rev().filter(|job| job.status == JobStatus::Running);
        let (backfills, running): (Vec<Job>, Vec<Job>) = running.partition(|job| job.action == JobAction::Backfill);
        (self.running, self.backfills) = (running.into(), Backfills::default());
        for job in backfills {
            if let Err(job) = self.backfills.take_up(&self.parts, job).await? {
                let last_error = Some("its schedule is gone".to_owned());
                let ended_at = Some(self.parts.clock.wall());
                self.parts.store.put_job(Job { status: JobStatus::Stopped, last_error, ended_at, ..job }).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, request: Request) {
        let (answer, reply): (Result<Job, JobError>, Reply) = match request {
            Request::Create(new, reply) => (self.create(*new).await, reply),
            Request::Backfill(ask, total, reply) => (self.backfill(*ask, total).await, reply),
            Request::Stop(id, reply) => (self.stop(id).await, reply),
        };
        // Whoever asked may be gone.
        let _ = reply.send(answer);
    }

    async fn create(&mut self, new: NewJob) -> Result<Job, JobError> {
        self.check_room()?;
        let store = &self.parts.store;
        let newest = store.runs(RunFilter { limit: 1, ..RunFilter::default() }).await?;
        let position = newest.runs.first().map_or(0, |head| head.run_no + 1);
        let filter = RunFilter { before_run_no: Some(position), ..matching(new.action, &new.filter) };
        let now = self.parts.clock.wall();
        let chance = self.parts.clock.entropy();
        let job = Job {
            id: JobId::new(now, (chance >> 64) as u64, 0),
            action: new.action,
            filter: new.filter,
            options: new.options,
            status: JobStatus::Running,
            total: store.count_runs(filter).await?.total(),
            done: 0,
            failed: 0,
            last_error: None,
            position,
            created_at: now,
            ended_at: None,
        };
        store.put_job(job.clone()).await?;
        let action = job.action.as_str();
        tracing::info!(job.id = %job.id, job.action = action, job.total = job.total, "a job begins");
        self.running.push_back(job.clone());
        Ok(job)
    }

    fn check_room(&self) -> Result<(), JobError> {
        let running = self.running.len() + self.backfills.courses.len();
        if running >= JOBS_RUNNING_MAX { Err(JobError::TooMany) } else { Ok(()) }
    }

    async fn backfill(&mut self, ask: Backfill, total: u64) -> Result<Job, JobError> {
        self.check_room()?;
        let now = self.parts.clock.wall();
        let chance = self.parts.clock.entropy();
        let job = Job {
            id: JobId::new(now, (chance >> 64) as u64, 0),
            action: JobAction::Backfill,
            filter: JobFilter { app: Some(ask.schedule.app.clone()), ..JobFilter::default() },
            // The position is a time that all is done up to.
            position: ask.from.0 - 1,
            options: JobOptions { backfill: Some(ask), ..JobOptions::default() },
            status: JobStatus::Running,
            total,
            done: 0,
            failed: 0,
            last_error: None,
            created_at: now,
            ended_at: None,
        };
        self.parts.store.put_job(job.clone()).await?;
        tracing::info!(job.id = %job.id, job.action = job.action.as_str(), job.total = total, "a job begins");
        // A schedule that was removed this moment is found missing at the next start, too.
        if self.backfills.take_up(&self.parts, job.clone()).await?.is_err() {
            return self.stopped(job).await;
        }
        Ok(job)
    }

    async fn stopped(&mut self, job: Job) -> Result<Job, JobError> {
        let job = Job { status: JobStatus::Stopped, ended_at: Some(self.parts.clock.wall()), ..job };
        self.parts.store.put_job(job.clone()).await?;
        Ok(job)
    }

    async fn stop(&mut self, id: JobId) -> Result<Job, JobError> {
        if let Some(at) = self.backfills.courses.iter().position(|course| course.job.id == id) {
            let job = self.backfills.courses[at].job.clone();
            let job = self.stopped(job).await?;
            self.backfills.courses.remove(at);
            return Ok(job);
        }
        let Some(at) = self.running.iter().position(|job| job.id == id) else {
            let jobs = self.parts.store.jobs().await?;
            return jobs.into_iter().find(|job| job.id == id).ok_or(JobError::Unknown(id));
        };
        let job = self.running[at].clone();
        let job = self.stopped(job).await?;
        self.running.remove(at);
        Ok(job)
    }

    /// One page of the job whose turn it is. It is written as a whole, or done again.
    async fn page(&mut self) -> Result<(), StoreError> {
        let Some(mut job) = self.running.front().cloned() else { return Ok(()) };
        let before_run_no = Some(job.position);
        let filter = RunFilter { before_run_no, limit: JOB_PAGE, ..matching(job.action, &job.filter) };
        let page = self.parts.store.runs(filter).await?;
        let heads = page.runs;
        match page.looked_to.or(heads.last().map(|last| last.run_no)) {
            Some(position) => job.position = position,
            None => {
                job.status = JobStatus::Done;
                job.ended_at = Some(self.parts.clock.wall());
            }
        }
        let acts = stream::iter(heads).map(|head| act(&self.parts, &job, head)).buffer_unordered(JOB_PARALLEL_MAX);
        let acts: Vec<Acted> = acts.collect().await;
        for act in acts {
            match act {
                Acted::Done => job.done += 1,
                Acted::Failed(error) => {
                    job.failed += 1;
                    job.last_error = Some(error);
                }
                Acted::Interrupted => return Ok(()),
            }
        }
        self.parts.store.put_job(job.clone()).await?;
        self.running.pop_front();
        if job.status == JobStatus::Running {
            self.running.push_back(job);
        } else {
            told(&job);
        }
        Ok(())
    }
}

fn told(job: &Job) {
    tracing::info!(job.id = %job.id, job.done = job.done, job.failed = job.failed, "a job is done");
}

/// One action on one run, as often as it takes to be heard.
async fn act(parts: &Parts, job: &Job, head: RunHead) -> Acted {
    loop {
        if *parts.stop.borrow() {
            return Acted::Interrupted;
        }
        match act_once(parts, job, head.id).await {
            Ok(()) => return Acted::Done,
            // What a job wants to be so is so.
            Err(Declined::Refused(Refusal::NotHeld(..) | Refusal::Ended(..))) => return Acted::Done,
            Err(Declined::Refused(refusal)) => return Acted::Failed(refusal.to_string()),
            Err(Declined::Busy { .. } | Declined::Unavailable(_)) => {
                pause(&parts.stop).await;
            }
        }
    }
}

async fn act_once(parts: &Parts, job: &Job, run: RunId) -> Result<(), Declined> {
    let fork = |from| {
        Command::Fork(Box::new(Fork {
            run,
            from,
            edits: Vec::new(),
            input: None,
            cause: Some(format!("job {}", job.id).into()),
            dry_run: false,
        }))
    };
    let command = match job.action {
        JobAction::Cancel => Command::Cancel { run },
        JobAction::Kill => Command::Kill { run },
        JobAction::Pause => Command::Pause { run },
        JobAction::Resume => Command::Resume { run },
        JobAction::Retry => {
            let next = RunFilter { previous: Some(run), limit: 1, ..RunFilter::default() };
            let next = parts.store.runs(next).await.map_err(|error| Declined::Unavailable(error.to_string()))?;
            if next.runs.iter().any(|head| head.previous.is_some_and(|previous| previous.origin == Origin::Fork)) {
                return Ok(());
            }
            fork(ForkFrom::Failure)
        }
        JobAction::Move => Command::Move { run, to: job.options.to.unwrap_or(MoveTo::Current) },
        // It has a course of its own.
        JobAction::Backfill => return Ok(()),
        JobAction::Fork => fork(job.options.at.clone().map_or(ForkFrom::Edits, ForkFrom::Entry)),
    };
    parts.cluster.owner_of(run).submit(command).await.map(drop)
}

/// Returns when the server stops, or when nobody is left who could stop it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A moment, or the server's stop. Says whether it stops.
async fn pause(stop: &watch::Receiver<bool>) -> bool {
    let mut stop = stop.clone();
    tokio::time::timeout(Duration::from_millis(JOB_PAUSE_MS), stopped(&mut stop)).await.is_ok()
}
