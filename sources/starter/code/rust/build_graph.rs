//! Runs a graph of build steps on a few threads, respecting dependencies.
//!
//! A step becomes ready when the last of the steps it needs has finished.
//! One failure stops new work from starting; what runs is left to finish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

type Action = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

struct Step {
    needs: Vec<&'static str>,
    action: Action,
}

#[derive(Default)]
struct Graph {
    steps: BTreeMap<&'static str, Step>,
}

#[derive(Debug)]
enum Outcome {
    Done(&'static str),
    Failed(&'static str, String),
}

impl Graph {
    fn step(
        mut self,
        name: &'static str,
        needs: &[&'static str],
        action: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let step = Step { needs: needs.to_vec(), action: Box::new(action) };
        self.steps.insert(name, step);
        self
    }

    /// Finds a dependency that is missing or part of a cycle.
    fn validate(&self) -> Result<(), String> {
        fn visit<'g>(
            g: &'g Graph,
            name: &'g str,
            trail: &mut Vec<&'g str>,
            done: &mut BTreeSet<&'g str>,
        ) -> Result<(), String> {
            if done.contains(name) {
                return Ok(());
            }
            if let Some(at) = trail.iter().position(|&t| t == name) {
                return Err(format!("cycle: {} -> {name}", trail[at..].join(" -> ")));
            }
            let step = g.steps.get(name).ok_or_else(|| format!("unknown step {name}"))?;
            trail.push(name);
            for need in &step.needs {
                visit(g, need, trail, done)?;
            }
            trail.pop();
            done.insert(name);
            Ok(())
        }
        let mut done = BTreeSet::new();
        self.steps.keys().try_for_each(|name| visit(self, name, &mut Vec::new(), &mut done))
    }

    fn run(&self, workers: usize) -> Result<Vec<&'static str>, String> {
        self.validate()?;

        // `None` tells an idle worker to leave.
        let ready = (Mutex::new(Vec::<Option<&'static str>>::new()), Condvar::new());
        let push = |item| {
            ready.0.lock().unwrap().push(item);
            ready.1.notify_one();
        };
        let (tx, rx) = mpsc::channel();

        thread::scope(|scope| {
            for _ in 0..workers {
                let tx = tx.clone();
                let ready = &ready;
                scope.spawn(move || loop {
                    let queue = ready.0.lock().unwrap();
                    let mut queue = ready.1.wait_while(queue, |q| q.is_empty()).unwrap();
                    let Some(name) = queue.pop().flatten() else { return };
                    drop(queue);
                    let outcome = match (self.steps[name].action)() {
                        Ok(()) => Outcome::Done(name),
                        Err(why) => Outcome::Failed(name, why),
                    };
                    tx.send(outcome).expect("the coordinator outlives its workers");
                });
            }

            let mut waiting: BTreeMap<_, BTreeSet<_>> = (self.steps.iter())
                .map(|(&name, step)| (name, step.needs.iter().copied().collect()))
                .collect();
            let (mut order, mut failure, mut running) = (Vec::new(), None, 0usize);
            loop {
                if failure.is_none() {
                    let free: Vec<_> = (waiting.iter())
                        .filter(|(_, needs)| needs.is_empty())
                        .map(|(&name, _)| name)
                        .collect();
                    for name in free {
                        waiting.remove(name);
                        running += 1;
                        push(Some(name));
                    }
                }
                if running == 0 {
                    break;
                }
                running -= 1;
                match rx.recv().expect("workers hold a sender") {
                    Outcome::Done(name) => {
                        order.push(name);
                        for needs in waiting.values_mut() {
                            needs.remove(name);
                        }
                    }
                    Outcome::Failed(name, why) => {
                        failure.get_or_insert(format!("{name}: {why}"));
                    }
                }
            }
            (0..workers).for_each(|_| push(None));
            failure.map_or(Ok(order), Err)
        })
    }
}

fn main() {
    let pause = |ms| move || Ok(thread::sleep(Duration::from_millis(ms)));
    let graph = Graph::default()
        .step("fetch", &[], pause(10))
        .step("codegen", &["fetch"], pause(20))
        .step("docs", &["fetch"], pause(5))
        .step("compile", &["codegen"], pause(15))
        .step("package", &["compile", "docs"], pause(1));
    println!("finished: {:?}", graph.run(2));

    let broken = graph.step("lint", &["codegen"], || Err("3 warnings".into()));
    println!("with lint: {:?}", broken.run(3));
}
