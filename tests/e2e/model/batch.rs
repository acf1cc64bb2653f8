//! Many stories at once before the same bridges, which are restarted at moments that all of them share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Barrier, Mutex};

use super::dice::Dice;
use super::fleet::{End, Fleet, Tally};
use super::number;
use super::story::{Outcome, Story};

/// The longest story has so many steps.
const STEPS: usize = 25;

/// Before which step which bridge is restarted, and how.
type Restarts = Vec<(usize, usize, End)>;

/// Tells `count` stories, `together` at a time, or one again that the environment names. The first ones that break a promise are printed.
pub fn run(fleet: Fleet, count: u64, together: u64) {
    let one = number("POPBRIDGE_MODEL_SEED");
    let count = match one {
        Some(_) => 1,
        None => number("POPBRIDGE_MODEL_SEEDS").unwrap_or(count),
    };
    let failed = match one {
        Some(seed) => tell(&fleet, seed / together, &[seed], true),
        None => {
            let first = number("POPBRIDGE_MODEL_FIRST").unwrap_or(0);
            let seeds: Vec<u64> = (first..first + count).collect();
            let batches = seeds.chunk_by(|a, b| a / together == b / together);
            batches
                .flat_map(|batch| tell(&fleet, batch[0] / together, batch, false))
                .collect()
        }
    };
    let Tally {
        exchanges,
        taken,
        fired,
    } = std::mem::take(&mut *fleet.tally.lock().expect("tally"));
    eprintln!("{exchanges} exchanges, {taken} messages disposed of, {fired} troubles upstream");
    assert!(exchanges > 0 && (count < 100 || taken > 0 && fired > 0));
    fleet.stop();
    for story in failed.iter().take(3) {
        eprintln!("{story}\n");
    }
    let seeds: Vec<&str> = failed
        .iter()
        .filter_map(|story| story.lines().next())
        .collect();
    assert!(
        failed.is_empty(),
        "{} stories break a promise; the environment variable POPBRIDGE_MODEL_SEED tells one again:\n{}",
        failed.len(),
        seeds.join("\n")
    );
}

/// Tells these stories at once; gives those that fail, each with its seed first.
fn tell(fleet: &Fleet, batch: u64, seeds: &[u64], aloud: bool) -> Vec<String> {
    let restarts = restarts(fleet, batch);
    let barrier = Barrier::new(seeds.len() + 1);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in seeds {
            let (restarts, barrier, failed) = (&restarts, &barrier, &failed);
            let one = move || {
                if let Some(story) = one(fleet, *seed, restarts, barrier, aloud) {
                    failed.lock().expect("stories").push(story);
                }
            };
            let thread = std::thread::Builder::new().stack_size(512 * 1024);
            thread.spawn_scoped(scope, one).expect("a thread");
        }
        for (_, instance, end) in &restarts {
            barrier.wait();
            let restarted = catch_unwind(AssertUnwindSafe(|| fleet.restart(*instance, *end)));
            barrier.wait();
            assert!(restarted.is_ok(), "a bridge does not come back");
        }
    });
    failed.into_inner().expect("stories")
}

fn restarts(fleet: &Fleet, batch: u64) -> Restarts {
    let mut dice = Dice::new(batch ^ 0x0BAD_CAFE);
    let mut steps: Vec<usize> = (0..1 + dice.below(3)).map(|_| 3 + dice.below(20)).collect();
    steps.sort_unstable();
    steps.dedup();
    let restart = |step| {
        let end = match dice.chance(2, 3) {
            true => End::Killed,
            false => End::Terminated,
        };
        (step, dice.below(fleet.count()), end)
    };
    steps.into_iter().map(restart).collect()
}

/// Tells one story; gives it if it fails.
fn one(
    fleet: &Fleet,
    seed: u64,
    restarts: &Restarts,
    barrier: &Barrier,
    aloud: bool,
) -> Option<String> {
    let mut story = Story::new(seed, fleet);
    let length = 10 + story.dice.below(STEPS - 9);
    let mut outcome: Outcome = Ok(());
    let mut restarts = restarts.iter().peekable();
    for step in 0..STEPS {
        while let Some((_, instance, _)) = restarts.next_if(|(at, ..)| *at == step) {
            let goes_on = outcome.is_ok();
            if goes_on {
                story.before_restart();
            }
            barrier.wait();
            barrier.wait();
            if goes_on {
                outcome = safely(|| story.after_restart(*instance));
            }
        }
        if step < length && outcome.is_ok() {
            story.note(format!("step {step}"));
            outcome = safely(|| story.step());
        }
    }
    let outcome = outcome.and_then(|()| safely(|| story.end()));
    fleet.upstream.close(&story.user);
    let mut inner = story.world.lock();
    let trace = std::mem::take(&mut inner.trace).join("\n");
    let mut tally = fleet.tally.lock().expect("tally");
    tally.exchanges += u64::from(inner.now);
    tally.taken += inner.taken.len();
    tally.fired += u64::from(inner.fired);
    drop((tally, inner));
    if aloud {
        eprintln!("{trace}\n{outcome:?}");
    }
    let why = outcome.err()?;
    let first = why.lines().next().unwrap_or_default();
    Some(format!(
        "seed {seed}: {first}\n{trace}\nseed {seed} ({}): {why}",
        story.user
    ))
}

/// A panic (an answer that is no POP3, for instance) is a violation, too.
fn safely(step: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic".to_owned()))
    })
}
