//! Which lines of a mail are our notification, and which are the agent's.
//!
//! Every run of words that also stands in a hidden passage is found first. A run counts as a quote
//! if it stands behind quote marks, or in the *zone*: the lines from the first to the last long run
//! of a notification's frame without quote marks. Any other run is a coincidence while it is short;
//! a long one is internal text that the agent pasted, and then the mail is not separated.
//!
//! Of the lines behind quote marks or in the zone:
//! - all words belong to a quote: cut;
//! - all words are known to the customer: kept;
//! - no word belongs to a quote: the agent's if nothing of the notification is missing at this place,
//!   else it may be an altered quote (translated, shortened), and the mail is not separated;
//! - some words do: not separated.
//!
//! At last the result is compared once more, and nothing hidden may be left.

use super::header;
use super::known::{Kind, Known, Run};
use super::tokens::{self, Line, Token};

/// Bytes of a text that is looked at; a longer one is not separated.
const TEXT_BYTES_MAX: usize = 512 * 1024;
/// Weight from which a run of a frame without quote marks is a quote: eight words.
const FRAME_WEIGHT_MIN: usize = 16;
/// Weight from which such a run right above or below the zone belongs to it.
const FRAME_NEAR_WEIGHT_MIN: usize = 8;
/// Lines above the zone in which such a run is looked for.
const NEAR_LINES_MAX: usize = 14;
/// Weight from which a run of an internal article in the agent's own text is no coincidence.
const PASTED_WEIGHT_MIN: usize = 12;
/// The same if the run is the whole article.
const PASTED_WHOLE_WEIGHT_MIN: usize = 8;
/// Columns from which a line can have been broken by a program.
const BROKEN_LINE_COLUMNS_MIN: usize = 50;
/// Words a line must have for its words alone to be suspicious.
const SIMILAR_WORDS_MIN: usize = 4;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Separated {
    /// Nothing of ours was in it.
    Untouched,
    /// This is left.
    Cut(String),
    /// It cannot be separated, and why.
    Not(&'static str),
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Cut,
}

/// Cuts what is known out of a text.
pub fn separate(known: &Known, text: &str) -> Separated {
    if text.len() > TEXT_BYTES_MAX {
        return Separated::Not("it is too long to be compared with the notification");
    }
    let (lines, tokens) = tokens::read(text);
    let runs = known.runs(&tokens);
    let look = Look::new(known, &lines, &tokens, &runs);
    let fates = match look.fates() {
        Ok(fates) => fates,
        Err(why) => return Separated::Not(why),
    };
    let cut = fates.contains(&Fate::Cut);
    let left = if cut { what_is_left(&lines, &fates) } else { text.to_owned() };
    match hidden_in(known, &left) {
        Some(why) => Separated::Not(why),
        None if cut => Separated::Cut(left),
        None => Separated::Untouched,
    }
}

impl Known {
    /// Whether a text of a file holds something hidden. It is not cut out of files.
    pub fn is_hidden_in(&self, text: &str) -> bool {
        hidden_in(self, text).is_some()
    }
}

/// Whether anything hidden is left in a text that is to go out.
fn hidden_in(known: &Known, text: &str) -> Option<&'static str> {
    let (lines, tokens) = tokens::read(text);
    if known.has_key(&tokens) {
        return Some("a key of the configuration is left in it");
    }
    let runs = known.runs(&tokens);
    let quoted = |run: &Run| {
        lines
            .iter()
            .any(|line| line.quoted && line.tokens.start < run.end && run.start < line.tokens.end)
    };
    let found = runs.iter().any(|run| match run.kind {
        Kind::Shared => false,
        Kind::Draft => quoted(run),
        Kind::Secret | Kind::Frame => {
            run.weight >= PASTED_WEIGHT_MIN
                || (run.kind == Kind::Secret && run.whole && run.weight >= PASTED_WHOLE_WEIGHT_MIN)
                || quoted(run)
        }
    });
    found.then_some("text that only agents may read is left in it")
}

/// A text with everything that deciding about its lines needs.
struct Look<'a> {
    known: &'a Known,
    lines: &'a [Line<'a>],
    tokens: &'a [Token],
    runs: &'a [Run],
    /// For each token the run it belongs to.
    run_of: Vec<Option<usize>>,
    /// Lines of the quote that has no quote marks.
    zone: std::ops::Range<usize>,
}

impl<'a> Look<'a> {
    fn new(
        known: &'a Known,
        lines: &'a [Line<'a>],
        tokens: &'a [Token],
        runs: &'a [Run],
    ) -> Look<'a> {
        let mut run_of = vec![None; tokens.len()];
        for (number, run) in runs.iter().enumerate() {
            run_of[run.start..run.end].fill(Some(number));
        }
        let mut look = Look { known, lines, tokens, runs, run_of, zone: 0..0 };
        look.zone = look.find_zone();
        look
    }

    /// The lines from the first to the last run of a frame without quote marks.
    fn find_zone(&self) -> std::ops::Range<usize> {
        let unquoted = |kinds: &'static [Kind], weight: usize| {
            let of_run = move |run: &&Run| kinds.contains(&run.kind) && run.weight >= weight;
            self.runs.iter().filter(of_run).filter_map(|run| self.unquoted_lines(run))
        };
        let Some(first) = unquoted(&[Kind::Frame], FRAME_WEIGHT_MIN).map(|(first, _)| first).min()
        else {
            return 0..0;
        };
        let near = unquoted(&[Kind::Frame], FRAME_NEAR_WEIGHT_MIN)
            .map(|(start, _)| start)
            .filter(|start| *start + NEAR_LINES_MAX >= first)
            .min();
        let last = unquoted(&[Kind::Frame, Kind::Secret, Kind::Draft], FRAME_NEAR_WEIGHT_MIN);
        let last = last.map(|(_, last)| last).max().unwrap_or(first);
        near.unwrap_or(first).min(first)..last + 1
    }

    /// First and last line of a run, if none of them has quote marks.
    fn unquoted_lines(&self, run: &Run) -> Option<(usize, usize)> {
        let first = self.line_of(run.start);
        let last = self.line_of(run.end - 1);
        let quoted = self.lines[first..=last].iter().any(|line| line.quoted);
        (!quoted).then_some((first, last))
    }

    fn line_of(&self, token: usize) -> usize {
        self.lines.partition_point(|line| line.tokens.end <= token)
    }

    /// Whether a line belongs to a quote by its place.
    fn in_quote(&self, at: usize) -> bool {
        self.lines[at].quoted || self.zone.contains(&at)
    }

    fn fates(&self) -> Result<Vec<Fate>, &'static str> {
        let mut fates = vec![Fate::Keep; self.lines.len()];
        let blocks = header::blocks(self.known, self.lines);
        self.check_unknown_quote(&blocks)?;
        for block in &blocks {
            if self.is_above_quote(block.end) {
                fates[block.clone()].fill(Fate::Cut);
            }
        }
        for at in 0..self.lines.len() {
            if fates[at] == Fate::Keep && !self.lines[at].tokens.is_empty() {
                fates[at] = self.fate(at, &fates)?;
            }
        }
        self.check_around_zone(&fates)?;
        self.cut_attributions(&mut fates);
        self.cut_empty_lines(&mut fates);
        Ok(fates)
    }

    /// Whether a quote follows at this line, perhaps behind empty lines.
    fn is_above_quote(&self, at: usize) -> bool {
        let next = self.lines[at..].iter().position(|line| !line.tokens.is_empty());
        next.is_some_and(|next| {
            next <= 3 && (self.in_quote(at + next) || self.lines[at - 1].quoted)
        }) || self.zone.contains(&at)
    }

    fn fate(&self, at: usize, fates: &[Fate]) -> Result<Fate, &'static str> {
        let line = &self.lines[at];
        let words = &self.tokens[line.tokens.clone()];
        let run_of = &self.run_of[line.tokens.clone()];
        let hidden = run_of.iter().filter(|run| self.is_hidden(**run)).count();
        if !self.in_quote(at) {
            let cut = hidden == words.len() && self.is_continuation(at, fates);
            return Ok(if cut { Fate::Cut } else { Fate::Keep });
        }
        let origin = header::is_origin(self.known, line.text);
        if origin || self.known.begins_with_label(line.text) || self.known.is_line(words) {
            return Ok(Fate::Cut);
        }
        let shared = run_of.iter().filter(|run| run.is_some()).count() - hidden;
        if hidden == 0 && (shared == words.len() || self.known.is_shared_line(words)) {
            return Ok(Fate::Keep);
        }
        if hidden > 0 {
            let accounted = words
                .iter()
                .zip(run_of)
                .all(|(word, run)| run.is_some() || self.is_filled_in(*word));
            return if accounted {
                Ok(Fate::Cut)
            } else {
                Err("a line holds words of the notification and others")
            };
        }
        self.foreign(line, words)
    }

    fn is_hidden(&self, run: Option<usize>) -> bool {
        run.is_some_and(|run| self.runs[run].is_hidden())
    }

    /// A value of the frame that has changed since, or what programs write beside addresses.
    fn is_filled_in(&self, word: Token) -> bool {
        const ADDED: [&str; 5] = ["mailto", "http", "https", "re", "br"];
        let added = || ADDED.iter().any(|added| tokens::words(added).first() == Some(&word));
        self.known.is_of_frame(word) || self.known.is_secret_word(word) || added()
    }

    /// A line in a quote that has nothing of the notification.
    fn foreign(&self, line: &Line<'_>, words: &[Token]) -> Result<Fate, &'static str> {
        let secret = words.iter().filter(|word| self.known.is_secret_word(**word)).count();
        if words.len() >= SIMILAR_WORDS_MIN && secret * 2 > words.len() {
            return Err("a quoted line resembles internal text");
        }
        if words.iter().any(|word| self.known.is_queue(*word)) {
            return Err("a quoted line names a queue");
        }
        let before = self.runs.iter().rfind(|run| self.counts(run) && run.end <= line.tokens.start);
        let after = self.runs.iter().find(|run| self.counts(run) && run.start >= line.tokens.end);
        match (before, after) {
            (None, None) => Ok(Fate::Keep),
            _ if self.known.adjoin(before, after) => Ok(Fate::Keep),
            _ => Err("a quoted line may be altered text of the notification"),
        }
    }

    /// Whether a run belongs to a quote.
    fn counts(&self, run: &Run) -> bool {
        self.in_quote(self.line_of(run.start)) || self.in_quote(self.line_of(run.end - 1))
    }

    /// Whether a line without quote marks is what a program broke off a quoted line.
    fn is_continuation(&self, at: usize, fates: &[Fate]) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let long = columns(self.lines[before].text) >= BROKEN_LINE_COLUMNS_MIN;
        let (first, start) = (self.lines[at].tokens.start, self.lines[before].tokens.clone());
        let joined = self.run_of[first].is_some()
            && start.contains(&(first.wrapping_sub(1)))
            && self.run_of[first] == self.run_of[first - 1];
        fates[before] == Fate::Cut && long && joined
    }

    /// A quote of which nothing is known may be a translation.
    fn check_unknown_quote(&self, blocks: &[std::ops::Range<usize>]) -> Result<(), &'static str> {
        const UNKNOWN: &str = "it quotes a mail of this desk that was not recognised";
        let in_quote = |run: &Run| run.is_hidden() && self.counts(run);
        if self.runs.iter().any(in_quote) {
            return Ok(());
        }
        let has_words = |line: &Line<'_>| !line.tokens.is_empty();
        let hidden_line = |line: &Line<'_>| {
            let words = &self.tokens[line.tokens.clone()];
            let all_known = || self.run_of[line.tokens.clone()].iter().all(Option::is_some);
            self.known.is_line(words) || self.known.is_shared_line(words) || all_known()
        };
        let block = blocks.iter().any(|block| self.lines[block.end..].iter().any(has_words));
        let first = self.lines.iter().position(|line| line.quoted && has_words(line));
        let quote = first.is_some_and(|first| {
            let named = header::attribution(self.known, self.lines, first).is_some();
            let unknown =
                self.lines.iter().any(|line| line.quoted && has_words(line) && !hidden_line(line));
            (self.known.answers_notification || named) && unknown
        });
        if block || quote { Err(UNKNOWN) } else { Ok(()) }
    }

    /// Without quote marks, what stands above and below the zone is the agent's only if the
    /// notification is complete there.
    fn check_around_zone(&self, fates: &[Fate]) -> Result<(), &'static str> {
        const INCOMPLETE: &str = "the notification is quoted without marks and in part only";
        let zone = self.zone.clone();
        if zone.is_empty() {
            return Ok(());
        }
        let in_zone = |run: &&Run| zone.contains(&self.line_of(run.start));
        let kept = |lines: std::ops::Range<usize>| {
            lines.into_iter().any(|at| fates[at] == Fate::Keep && !self.lines[at].tokens.is_empty())
        };
        let first = self.runs.iter().find(in_zone);
        let last = self.runs.iter().rfind(in_zone);
        let above = kept(0..zone.start) && !self.known.adjoin(None, first);
        let below = kept(zone.end..self.lines.len()) && !self.known.adjoin(last, None);
        if above || below { Err(INCOMPLETE) } else { Ok(()) }
    }

    fn cut_attributions(&self, fates: &mut [Fate]) {
        for at in 0..self.lines.len() {
            let begins = fates[at] == Fate::Cut
                && self.lines[..at]
                    .iter()
                    .rposition(|line| !line.tokens.is_empty())
                    .is_none_or(|before| fates[before] == Fate::Keep);
            if !begins {
                continue;
            }
            // Quoted lines that hold no word belong to the quote.
            let start =
                self.lines[..at].iter().rposition(|line| !line.quoted || !line.tokens.is_empty());
            let start = start.map_or(0, |start| start + 1);
            if let Some(lines) = header::attribution(self.known, self.lines, start) {
                fates[lines].fill(Fate::Cut);
            }
        }
    }

    /// Lines without words go with what stands around them.
    fn cut_empty_lines(&self, fates: &mut [Fate]) {
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            if !line.tokens.is_empty() || !(self.in_quote(at) || header::is_separator(line.text)) {
                continue;
            }
            let has_words = |at: &usize| !self.lines[*at].tokens.is_empty();
            let before = (0..at).rfind(has_words).map(|at| fates[at]);
            let after = (at + 1..self.lines.len()).find(has_words).map(|at| fates[at]);
            let symbols = line.text.chars().any(|c| !c.is_ascii() && !c.is_whitespace());
            let cut = match (before, after) {
                (Some(Fate::Cut), Some(Fate::Cut) | None) => true,
                (None, Some(Fate::Cut)) => true,
                (Some(Fate::Cut), Some(Fate::Keep)) | (Some(Fate::Keep), Some(Fate::Cut)) => {
                    line.quoted || self.zone.contains(&at)
                }
                (Some(Fate::Keep), _) | (None, _) => false,
            };
            // A line of the agent's may be a single emoji.
            if cut && (!symbols || line.quoted) {
                fates[at] = Fate::Cut;
            }
        }
    }
}

/// Width of a line in a terminal, roughly.
fn columns(line: &str) -> usize {
    line.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

/// The kept lines; what a cut leaves of blank lines is one.
fn what_is_left(lines: &[Line<'_>], fates: &[Fate]) -> String {
    let mut left = String::new();
    let mut gap = false;
    let mut blank = true;
    for (line, fate) in lines.iter().zip(fates) {
        if *fate == Fate::Cut {
            gap = true;
            continue;
        }
        let empty = line.text.trim().is_empty();
        if empty && gap && blank {
            continue;
        }
        if gap && !empty && !blank {
            left.push('\n');
        }
        left.push_str(line.text);
        left.push('\n');
        (gap, blank) = (gap && empty, empty);
    }
    let kept = left.trim_end().len();
    left.truncate(kept);
    if !left.is_empty() {
        left.push('\n');
    }
    left
}
