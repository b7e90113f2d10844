//! A reload that remembers answers exactly as one that does not: random edits over several files,
//! good and bad.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use postroom::config::{self, Loaded, Memory};
use postroom::core::config::Config;

const SEQUENCES: u64 = 16;
const EDITS: usize = 20;
const FILES: u64 = 5;

/// What others refer to. `|` stands between the forms that a line may have; the last one is rare.
const BASE: [&str; 14] = [
    "version: 1",
    "desk: {timeZone: Asia/Tokyo}|desk: {timeZone: Europe/Paris}|desk: {timezone: UTC}",
    "defaults: {mailAccounts: {afterFetch: keep}}|defaults: {mailAccounts: {afterFetch: delete}}|x-none: 1",
    "queues:",
    "  sales: {}|  sales: {state: disabled}|  sails: {}",
    "  support: {autoReplies: {new: thanks}}|  support: {}|  support: {autoReplies: {new: nobody}}",
    "users:",
    "  alice: {email: alice@example.com}|  alice: {email: a@example.com}|  bob: {email: bob}",
    "systemAddresses:",
    "  desk@example.com: {queue: sales}|  desk@example.com: {queue: Raw}|  other@example.com: {}",
    "autoReplies:",
    "  thanks: {from: desk@example.com, subject: {en: Hi}, text: {en: {file: thanks.txt}}}|  {}",
    "customers: {eve@customer.example: {name: Eve}}|customers: {eve@customer.example: {}}|customers: 1",
    "tests: []|tests: [{name: t, mail: {file: m.eml, account: a1}, expect: {filters: [vip1]}}]",
];

/// What nobody refers to. `N` is the number of the file, rarely that of another.
const LEAVES: [&str; 12] = [
    "version: 1",
    "mailAccounts:",
    "  aN: {type: maildir, path: mail/aN}|  aN: {type: maildir, path: mail/zN, state: paused}|  aN: 1",
    "  bN: {type: maildir, path: mail/bN, since: 2026-01-01}|  cN: {type: maildir}",
    "  dN: {type: imaps, host: mx.example, username: u, password: {env: P}, folder: fN, tls: {insecure: true}}|  x: {}",
    "  eN: {type: maildir, path: mail/eN, dispatch: {by: queue, queue: sales}}|  eN: {type: maildir, path: mail/a1}",
    "filters:",
    "  vipN: {order: 1, match: [{body: urgent}], set: {owner: alice}}|  vipN: {order: 2, match: [{body: x}], set: {queue: sales}}|  oddN: {order: 9, match: [{body: '('}]}",
    "  noneN: {order: 3, match: [{body: x}]}|  noneN: {order: 0, match: [{body: x}], stop: true}|  noneN: {}",
    "systemAddresses:",
    "  helpN@example.com: {queue: support}|  helpN@example.com: {queue: sales, name: Help}|  Desk@example.com: {queue: Raw}",
    "customers: {miaN@customer.example: {name: Mia}}|moved: [{kind: mailAccount, from: z, to: aN}]|x-none: 1",
];

#[test]
fn a_load_with_a_memory_answers_as_one_without() {
    let (mut applied, mut refused) = (0, 0);
    for seed in 1..=SEQUENCES {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        for file in 0..=FILES {
            edit(&mut random, folder.path(), file);
        }
        let paths = [folder.path().to_owned()];
        let mut memory = Memory::default();
        let first = config::load_first(&paths, &mut memory);
        check(&first, &config::load(&paths), seed);
        let mut running = running(first);
        for _ in 0..EDITS {
            let file = random.below(FILES + 1);
            edit(&mut random, folder.path(), file);
            let fresh = config::load(&paths);
            match again(&paths, &mut memory, &running) {
                Some(loaded) => {
                    check(&loaded, &fresh, seed);
                    // Now and then a good one is held back, as the mass-delete guard does.
                    if loaded.config.is_some() && random.below(5) > 0 {
                        running = self::running(loaded);
                        applied += 1;
                    } else {
                        refused += 1;
                    }
                }
                None => {
                    assert_eq!(fresh.hash, running.0, "seed {seed}");
                    assert!(fresh.config.is_some_and(|config| config == *running.1), "seed {seed}");
                }
            }
        }
    }
    // The sequences must visit both.
    assert!(applied > 60 && refused > 20, "{applied} applied, {refused} refused");
}

/// Revision and configuration that run.
type Running = (String, Arc<Config>);

fn running(loaded: Loaded) -> Running {
    (loaded.hash, Arc::new(loaded.config.unwrap_or_default()))
}

fn again(
    paths: &[std::path::PathBuf],
    memory: &mut Memory,
    (revision, config): &Running,
) -> Option<Loaded> {
    config::load_again(paths, memory, revision, config)
}

#[track_caller]
fn check(found: &Loaded, fresh: &Loaded, seed: u64) {
    assert_eq!(found.hash, fresh.hash, "seed {seed}");
    assert_eq!(found.files, fresh.files, "seed {seed}");
    assert_eq!(found.problems, fresh.problems, "seed {seed}");
    assert_eq!(found.allowed, fresh.allowed, "seed {seed}");
    assert_eq!(found.tests, fresh.tests, "seed {seed}");
    assert_eq!(found.config, fresh.config, "seed {seed}");
}

/// Writes one of the files anew, or removes it. The one beyond is a text that YAML refers to.
fn edit(random: &mut Random, folder: &Path, file: u64) {
    if file == FILES {
        let text = ["Hello", "Hello {{ ticket.number }}", "Good day", "Hi", "Dear you", "Hello {{"];
        return fs::write(folder.join("thanks.txt"), text[random.below(6) as usize]).unwrap();
    }
    let path = folder.join(format!("{file}.yaml"));
    let lines: &[&str] = if file == 0 { &BASE } else { &LEAVES };
    match random.below(80) {
        0 => drop(fs::remove_file(path)),
        1 => fs::write(path, "version: 1\nqueues: [\n").unwrap(),
        _ => fs::write(path, yaml(random, lines, file)).unwrap(),
    }
}

fn yaml(random: &mut Random, lines: &[&str], file: u64) -> String {
    let mut text = String::new();
    for line in lines {
        let forms: Vec<&str> = line.split('|').collect();
        let (rare, usual) = forms.split_last().unwrap();
        let rarely = usual.is_empty() || random.below(300) == 0;
        let form = if rarely { rare } else { &usual[random.below(usual.len() as u64) as usize] };
        let number = if random.below(1_500) == 0 { random.below(FILES) } else { file };
        text.push_str(&form.replace('N', &number.to_string()));
        text.push('\n');
    }
    text
}

/// A small generator of our own, so that a seed always means the same sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
