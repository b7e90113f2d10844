//! Series of mail accounts, kept small: there may be ten thousand accounts.
//!
//! A series of the prometheus crate carries its own copy of name, help and labels, most of a
//! kilobyte. Here an account has one entry with a number for each of its series, and the text is
//! made when it is asked for.
//!
//! Architecture invariant: labels beside the account's name are words of ours.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};

use super::MetricRow;
use crate::core::ascending::Ascending;

/// Labels of a series beside the account, at most.
const MORE_LABELS_MAX: usize = 2;

/// All series whose first label is the account.
#[derive(Default)]
pub struct AccountSeries(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// What series have in common over all accounts; few.
    shapes: Vec<Shape>,
    accounts: BTreeMap<String, Vec<Series>>,
}

/// A row, and what stands behind the account's name.
#[derive(Clone, Copy)]
struct Shape {
    row: &'static MetricRow,
    /// Values of the labels behind the account; unused ones are empty.
    more: [&'static str; MORE_LABELS_MAX],
}

/// One series of an account.
struct Series {
    /// Place of its shape.
    shape: u16,
    value: f64,
}

/// Whether the series of a row are kept here.
pub fn is_of_accounts(row: &MetricRow) -> bool {
    row.labels.first() == Some(&"account")
}

impl AccountSeries {
    /// Changes the value of a series, which is 0 before the first time.
    pub fn update(
        &self,
        row: &'static MetricRow,
        account: &str,
        more: &[&'static str],
        change: impl FnOnce(f64) -> f64,
    ) {
        let mut words = [""; MORE_LABELS_MAX];
        words[..more.len()].copy_from_slice(more);
        let mut kept = self.lock();
        let shape = kept.shape(Shape { row, more: words });
        if !kept.accounts.contains_key(account) {
            kept.accounts.insert(account.to_owned(), Vec::new());
        }
        let series = kept.accounts.get_mut(account).expect("it was entered above");
        match series.iter_mut().find(|one| one.shape == shape) {
            Some(one) => one.value = change(one.value),
            None => {
                // One at a time: what a growing list keeps free adds up over all accounts.
                series.reserve_exact(1);
                series.push(Series { shape, value: change(0.0) });
            }
        }
    }

    /// Makes entries for those of these accounts that have none. All at once, because a tree that
    /// grows one by one leaves half of its room empty.
    pub fn enter<'a>(&self, accounts: impl IntoIterator<Item = &'a String>) {
        let known = &mut self.lock().accounts;
        let fresh = accounts.into_iter().filter(|name| !known.contains_key(*name));
        let mut fresh = fresh.map(|name| (name.clone(), Vec::new())).collect();
        known.append(&mut fresh);
    }

    /// Removes the series of one row of an account.
    pub fn remove(&self, row: &'static MetricRow, account: &str) {
        let Kept { shapes, accounts } = &mut *self.lock();
        if let Some(series) = accounts.get_mut(account) {
            series.retain(|one| shapes[usize::from(one.shape)].row.name != row.name);
        }
    }

    /// Removes the series of an account.
    pub fn forget(&self, account: &str) {
        self.lock().accounts.remove(account);
    }

    /// Removes the series of all accounts but these.
    pub fn keep<T>(&self, accounts: &BTreeMap<String, T>) {
        let accounts = Ascending::of(accounts);
        self.lock().accounts.retain(|account, _| accounts.get(account).is_some());
    }

    /// The series of a row in the text format of Prometheus; empty if there are none.
    pub fn page(&self, row: &MetricRow) -> String {
        let mut page = String::new();
        let Kept { shapes, accounts } = &*self.lock();
        for (account, series) in accounts {
            for one in series {
                let shape = &shapes[usize::from(one.shape)];
                if shape.row.name != row.name {
                    continue;
                }
                if page.is_empty() {
                    head(row, &mut page);
                }
                line(account, shape, one.value, &mut page);
            }
        }
        page
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no panic while holding the series")
    }
}

impl Kept {
    /// Place of a shape, which is made if there is none.
    fn shape(&mut self, shape: Shape) -> u16 {
        let is_it = |one: &Shape| one.row.name == shape.row.name && one.more == shape.more;
        let place = self.shapes.iter().position(is_it).unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        u16::try_from(place).expect("rows and words are ours, and few")
    }
}

fn head(row: &MetricRow, page: &mut String) {
    let (name, kind) = (row.name, row.type_name());
    let _ = write!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n", row.help);
}

fn line(account: &str, shape: &Shape, value: f64, page: &mut String) {
    page.push_str(shape.row.name);
    page.push_str("{account=\"");
    escape(account, page);
    page.push('"');
    for (label, word) in shape.row.labels[1..].iter().zip(shape.more) {
        // Words of ours hold nothing that must be escaped.
        let _ = write!(page, ",{label}=\"{word}\"");
    }
    let _ = writeln!(page, "}} {value}");
}

/// As the text format wants it within quotes.
fn escape(text: &str, page: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MetricKind;

    static UP: MetricRow =
        MetricRow { name: "up", kind: MetricKind::Gauge, help: "Up", labels: &["account"] };
    static RUNS: MetricRow = MetricRow {
        name: "runs",
        kind: MetricKind::Counter,
        help: "Runs",
        labels: &["account", "result"],
    };

    #[track_caller]
    fn check(series: &AccountSeries, expected: &str) {
        static ROWS: [MetricRow; 2] = [
            MetricRow { name: "up", kind: MetricKind::Gauge, help: "Up", labels: &["account"] },
            MetricRow {
                name: "runs",
                kind: MetricKind::Counter,
                help: "Runs",
                labels: &["account", "result"],
            },
        ];
        let pages: String = ROWS.iter().map(|row| series.page(row)).collect();
        assert_eq!(pages, expected);
    }

    #[test]
    fn nothing_without_series() {
        check(&AccountSeries::default(), "");
    }

    #[test]
    fn values_are_set_and_counted() {
        let series = AccountSeries::default();
        series.update(&UP, "b", &[], |_| 1.0);
        series.update(&UP, "a", &[], |_| 0.5);
        for _ in 0..2 {
            series.update(&RUNS, "b", &["success"], |value| value + 1.0);
        }
        series.update(&RUNS, "b", &["failure"], |value| value + 1.0);
        check(
            &series,
            "# HELP up Up\n# TYPE up gauge\nup{account=\"a\"} 0.5\nup{account=\"b\"} 1\n\
             # HELP runs Runs\n# TYPE runs counter\n\
             runs{account=\"b\",result=\"success\"} 2\nruns{account=\"b\",result=\"failure\"} 1\n",
        );
    }

    #[test]
    fn names_are_escaped() {
        let series = AccountSeries::default();
        series.update(&UP, "a\"b\\c\nd", &[], |_| 1.0);
        check(&series, "# HELP up Up\n# TYPE up gauge\nup{account=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn rows_and_accounts_are_forgotten() {
        let series = AccountSeries::default();
        for account in ["a", "b"] {
            series.update(&UP, account, &[], |_| 1.0);
            series.update(&RUNS, account, &["success"], |_| 1.0);
        }
        series.remove(&RUNS, "b");
        series.forget("a");
        check(&series, "# HELP up Up\n# TYPE up gauge\nup{account=\"b\"} 1\n");
        series.keep(&BTreeMap::from([("c".to_owned(), ())]));
        check(&series, "");
    }
}
