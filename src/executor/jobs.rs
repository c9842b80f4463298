//! Who waits for which helper: folding of equal requests, and kmod's limit. Pure; time is passed in.
#![forbid(unsafe_code)]

use crate::order::task::{Task, Waiter};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A job's number, in order of arrival.
pub type JobId = u64;

/// A task with those who wait for it.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is done.
    pub task: Task,
    /// Who gets its status, in order of arrival; the first one's pid is the helper's trigger.
    pub waiters: Vec<Waiter>,
    /// The helper's pid; `None` until it runs.
    pub pid: Option<u32>,
    /// When a job that found no free place gives up; `None` once it may run.
    deadline: Option<Instant>,
}

impl Job {
    /// The number of the request that it was made for, by which the journal knows it.
    pub fn number(&self) -> u64 {
        self.waiters.first().map_or(0, |waiter| waiter.request)
    }

    /// The pid that the first request for this job carries.
    pub fn trigger(&self) -> Option<i16> {
        self.waiters.first().and_then(|waiter| waiter.reply.sender_pid())
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// A new job, to be started now.
    Start(JobId),
    /// An equal request is in flight: this one gets its status too.
    Joined,
    /// All places are taken: it starts when one is free, or gives up at its deadline.
    Waits,
}

/// All jobs in flight.
#[derive(Debug)]
pub struct Jobs {
    limit: usize,
    busy_limit: Duration,
    next: JobId,
    jobs: BTreeMap<JobId, Job>,
    by_task: HashMap<Task, JobId>,
    waiting: VecDeque<JobId>,
}

impl Jobs {
    /// No jobs; at most `limit` will run at once, and one past that waits for `busy_limit`.
    pub fn new(limit: usize, busy_limit: Duration) -> Self {
        Jobs {
            limit,
            busy_limit,
            next: 1,
            jobs: BTreeMap::new(),
            by_task: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Other limits, for jobs from now on.
    pub fn set_limits(&mut self, limit: usize, busy_limit: Duration) {
        (self.limit, self.busy_limit) = (limit, busy_limit);
    }

    /// The number that the next job will have.
    pub fn next_id(&self) -> JobId {
        self.next
    }

    /// Lets one more wait for a job.
    pub fn join(&mut self, id: JobId, waiter: Waiter) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.waiters.push(waiter);
        }
    }

    /// Takes a request in.
    pub fn submit(&mut self, task: Task, waiter: Waiter, now: Instant) -> Submitted {
        if let Some(job) = self.by_task.get(&task).and_then(|id| self.jobs.get_mut(id)) {
            job.waiters.push(waiter);
            return Submitted::Joined;
        }
        let id = self.next;
        self.next += 1;
        let free = self.running() < self.limit;
        let deadline = (!free).then(|| now + self.busy_limit);
        self.by_task.insert(task.clone(), id);
        self.jobs.insert(id, Job { task, waiters: vec![waiter], pid: None, deadline });
        if free {
            return Submitted::Start(id);
        }
        self.waiting.push_back(id);
        Submitted::Waits
    }

    /// The job of a number.
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// Notes the pid of a job's helper.
    pub fn started(&mut self, id: JobId, pid: u32) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.pid = Some(pid);
        }
    }

    /// Ends a job; returns it and the one that may start in its place.
    pub fn finish(&mut self, id: JobId) -> (Option<Job>, Option<JobId>) {
        let job = self.remove(id);
        let next = self.waiting.pop_front();
        if let Some(job) = next.and_then(|id| self.jobs.get_mut(&id)) {
            job.deadline = None;
        }
        (job, next)
    }

    /// Takes out the jobs whose wait for a place is over.
    pub fn expire(&mut self, now: Instant) -> Vec<Job> {
        let mut expired = Vec::new();
        while let Some(id) = self.waiting.front().copied().filter(|id| self.deadline_of(*id) <= Some(now)) {
            self.waiting.pop_front();
            expired.extend(self.remove(id));
        }
        expired
    }

    /// Takes out every job that waits for a place.
    pub fn abandon_waiting(&mut self) -> Vec<Job> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Takes out every job, running or not.
    pub fn abandon_all(&mut self) -> Vec<Job> {
        self.waiting.clear();
        self.by_task.clear();
        std::mem::take(&mut self.jobs).into_values().collect()
    }

    /// When [`Jobs::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.front().and_then(|id| self.deadline_of(*id))
    }

    /// Jobs that have a place.
    pub fn running(&self) -> usize {
        self.jobs.len() - self.waiting.len()
    }

    /// All jobs, newest first, as kdstat lists them.
    pub fn newest_first(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().rev()
    }

    /// Whether a request_module has a helper or waits for one.
    pub fn loading(&self) -> bool {
        self.jobs.values().any(|job| matches!(job.task, Task::Load(_)))
    }

    fn deadline_of(&self, id: JobId) -> Option<Instant> {
        self.jobs.get(&id).and_then(|job| job.deadline)
    }

    fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        self.by_task.remove(&job.task);
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AT_ONCE, BUSY_LIMIT};
    use crate::order::name::ModuleName;
    use kerneld_protocol::request::ReplyTo;
    use kerneld_protocol::wire::Layout;

    fn load(name: &str) -> Task {
        Task::Load(ModuleName::new(name.as_bytes()).unwrap())
    }

    fn reply(id: i32) -> Waiter {
        Waiter { request: 0, reply: ReplyTo { id, layout: Layout::Lp64New, pid: 1 } }
    }

    #[test]
    fn equal_requests_share_a_job_until_it_ends() {
        let mut jobs = Jobs::new(2, BUSY_LIMIT);
        let now = Instant::now();
        let Submitted::Start(first) = jobs.submit(load("a"), reply(1000), now) else { panic!() };
        assert_eq!(jobs.submit(load("a"), reply(1001), now), Submitted::Joined);
        let name = ModuleName::new(b"a").unwrap();
        assert!(matches!(jobs.submit(Task::Unload(name), reply(1002), now), Submitted::Start(_)));
        let (job, next) = jobs.finish(first);
        assert_eq!(job.unwrap().waiters, [reply(1000), reply(1001)]);
        assert_eq!(next, None);
        assert!(matches!(jobs.submit(load("a"), reply(1003), now), Submitted::Start(_)));
    }

    #[test]
    fn past_the_limit_they_wait_in_order_and_give_up_in_time() {
        let mut jobs = Jobs::new(1, BUSY_LIMIT);
        let now = Instant::now();
        let Submitted::Start(first) = jobs.submit(load("a"), reply(1), now) else { panic!() };
        assert_eq!(jobs.submit(load("b"), reply(2), now), Submitted::Waits);
        assert_eq!(jobs.submit(load("c"), reply(3), now + Duration::from_secs(1)), Submitted::Waits);
        assert_eq!(jobs.next_deadline(), Some(now + BUSY_LIMIT));
        assert!(jobs.expire(now).is_empty());
        let (_, next) = jobs.finish(first);
        assert_eq!(jobs.get(next.unwrap()).unwrap().task, load("b"));
        assert_eq!(jobs.running(), 1);
        let expired = jobs.expire(now + Duration::from_secs(6));
        assert_eq!(expired.len(), 1);
        assert_eq!((&expired[0].task, jobs.running()), (&load("c"), 1));
    }

    #[test]
    fn the_newest_job_is_listed_first() {
        let mut jobs = Jobs::new(AT_ONCE, BUSY_LIMIT);
        for name in ["a", "b", "c"] {
            jobs.submit(load(name), reply(0), Instant::now());
        }
        let listed: Vec<_> = jobs.newest_first().map(|job| job.task.text()).collect();
        assert_eq!(listed, ["c", "b", "a"]);
    }
}
