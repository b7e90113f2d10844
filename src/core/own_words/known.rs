//! What a quote can hold: the frame of our notifications, internal articles, and what the customer
//! knows anyway.

use std::collections::{HashMap, HashSet};

use super::tokens::{self, Token};

/// Stands in a frame where the article goes.
pub const SLOT: char = '\u{f8ff}';
/// Words of the shortest run that is looked for. Shorter ones only count as whole lines.
const GRAM_WORDS: usize = 3;
/// Places of one gram that are compared.
const PLACES_PER_GRAM_MAX: usize = 96;
/// Words of all passages together; what comes later is not known.
const WORDS_MAX: usize = 400_000;
/// Weight of a label such as `Queue:` at the beginning of a line.
const LABEL_WEIGHT_MAX: usize = 12;

/// What a passage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What the customer knows: their own mails, and what was sent to them.
    Shared,
    /// A text of the same agent that was kept inside: theirs to send again.
    Draft,
    /// An internal article of somebody else.
    Secret,
    /// What a notification says around the article.
    Frame,
}

/// A passage and where it is cut in two.
#[derive(Debug)]
struct Passage {
    kind: Kind,
    words: Vec<Token>,
    /// Index of the word before which the article goes.
    slot: Option<usize>,
}

/// A place in a passage at which a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    passage: usize,
    at: usize,
}

/// A run of words that stands in passages, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its first word in the text.
    pub start: usize,
    /// The word behind its last one.
    pub end: usize,
    /// Sum of the weights of its words.
    pub weight: usize,
    /// What it is quoted from.
    pub kind: Kind,
    /// Whether it is a passage from beginning to end.
    pub whole: bool,
    /// Where it stands.
    places: Vec<Place>,
}

/// Everything that a mail may quote of a ticket.
#[derive(Debug, Default)]
pub struct Known {
    passages: Vec<Passage>,
    grams: HashMap<[u64; GRAM_WORDS], Vec<Place>>,
    /// Whole lines of hidden passages.
    lines: HashSet<Vec<u64>>,
    /// Whole lines of shared passages.
    shared_lines: HashSet<Vec<u64>>,
    /// Beginnings of lines of the frame.
    labels: HashSet<Vec<u64>>,
    /// Words of frames and the values that are filled in.
    vocabulary: HashSet<u64>,
    /// Words of names of queues.
    queues: HashSet<u64>,
    /// Words of secrets that the customer does not know.
    secret_words: HashSet<u64>,
    /// Sequences of which none may ever remain.
    keys: HashSet<[u64; GRAM_WORDS]>,
    /// Addresses of this desk, in lower case: they stand above a quoted mail of ours.
    pub our_addresses: Vec<String>,
    /// Names of this desk, in lower case.
    pub our_names: Vec<String>,
    /// What the tag of a ticket begins with, in lower case.
    pub our_tag: String,
    /// Whether the mail answers a notification.
    pub answers_notification: bool,
    count: usize,
}

impl Known {
    /// Adds a passage. Of a frame, [`SLOT`] marks where the article goes.
    pub fn add(&mut self, kind: Kind, text: &str) {
        let (head, tail) = text.split_once(SLOT).unwrap_or((text, ""));
        let mut words = tokens::words(head);
        let slot = text.contains(SLOT).then_some(words.len());
        words.extend(tokens::words(tail));
        if words.is_empty() || self.count + words.len() > WORDS_MAX {
            return;
        }
        self.count += words.len();
        let passage = self.passages.len();
        for (at, gram) in words.windows(GRAM_WORDS).enumerate() {
            let places = self.grams.entry(hashes(gram)).or_default();
            // The article stands between these words.
            let parted = slot.is_some_and(|slot| at < slot && slot < at + GRAM_WORDS);
            if places.len() < PLACES_PER_GRAM_MAX && !parted {
                places.push(Place { passage, at });
            }
        }
        for line in text.lines() {
            self.add_line(kind, line);
        }
        let known = words.iter().map(|token| token.word);
        match kind {
            Kind::Frame => self.vocabulary.extend(known),
            Kind::Secret => self.secret_words.extend(known),
            Kind::Draft | Kind::Shared => {}
        }
        self.passages.push(Passage { kind, words, slot });
    }

    fn add_line(&mut self, kind: Kind, line: &str) {
        let words: Vec<u64> = tokens::read(line).1.iter().map(|token| token.word).collect();
        if kind == Kind::Frame
            && let Some((label, _)) = line.split_once([':', '\u{ff1a}'])
        {
            self.add_label(label);
        }
        match kind {
            _ if words.is_empty() || line.contains(SLOT) => {}
            Kind::Shared => drop(self.shared_lines.insert(words)),
            Kind::Draft | Kind::Secret | Kind::Frame => drop(self.lines.insert(words)),
        }
    }

    /// Adds what a line of a notification begins with, whatever follows.
    pub fn add_label(&mut self, label: &str) {
        let words = tokens::words(label);
        let weight: usize = words.iter().map(|token| token.weight).sum();
        if !words.is_empty() && weight <= LABEL_WEIGHT_MAX {
            self.labels.insert(hashes_of(&words));
        }
    }

    /// Adds a value that notifications fill in: the name of a queue, of a state, of an agent.
    pub fn add_value(&mut self, value: &str) {
        self.vocabulary.extend(tokens::words(value).iter().map(|token| token.word));
    }

    /// Adds the name of a queue.
    pub fn add_queue(&mut self, name: &str) {
        self.queues.extend(tokens::words(name).iter().map(|token| token.word));
        self.add_value(name);
    }

    /// Adds the beginning of a key of the configuration: it may remain in no text.
    pub fn add_key(&mut self, key: &str) {
        self.keys.extend(tokens::words(key).windows(GRAM_WORDS).map(hashes));
    }

    /// Forgets of the secret words those that the customer knows.
    pub fn close(&mut self) {
        let shared = self.passages.iter().filter(|passage| passage.kind == Kind::Shared);
        for token in shared.flat_map(|passage| &passage.words) {
            self.secret_words.remove(&token.word);
            self.queues.remove(&token.word);
        }
    }

    /// The runs of a text, longest first from its beginning. What stands in a shared passage as
    /// well counts as shared.
    pub fn runs(&self, text: &[Token]) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut at = 0;
        while at + GRAM_WORDS <= text.len() {
            match self.longest(text, at) {
                Some(run) => {
                    at = run.end;
                    runs.push(run);
                }
                None => at += 1,
            }
        }
        runs
    }

    fn longest(&self, text: &[Token], start: usize) -> Option<Run> {
        let places = self.grams.get(&hashes(&text[start..start + GRAM_WORDS]))?;
        let mut longest = 0;
        let mut best: Vec<Place> = Vec::new();
        for place in places {
            let passage = &self.passages[place.passage];
            let same = text[start..].iter().zip(&passage.words[place.at..]);
            let mut length = same.take_while(|(one, other)| one.word == other.word).count();
            if let Some(slot) = passage.slot.filter(|slot| *slot > place.at) {
                length = length.min(slot - place.at);
            }
            if length > longest {
                longest = length;
                best.clear();
            }
            if length == longest {
                best.push(*place);
            }
        }
        let end = start + longest;
        let kinds = || best.iter().map(|place| self.passages[place.passage].kind);
        let kind = [Kind::Shared, Kind::Draft].into_iter().find(|kind| kinds().any(|k| k == *kind));
        let kind = kind.or_else(|| kinds().max())?;
        let is_whole =
            |place: &Place| place.at == 0 && self.passages[place.passage].words.len() == longest;
        let weight = text[start..end].iter().map(|token| token.weight).sum();
        Some(Run { start, end, weight, kind, whole: best.iter().any(is_whole), places: best })
    }

    /// Whether nothing of an article or of its place is missing between two runs that follow each
    /// other: what stands between them then is no altered article.
    pub fn adjoin(&self, before: Option<&Run>, after: Option<&Run>) -> bool {
        match (before, after) {
            (None, None) => false,
            (None, Some(after)) => after.places.iter().any(|place| self.nothing_before(*place)),
            (Some(before), None) => {
                before.places.iter().any(|place| self.nothing_behind(*place, before.len()))
            }
            (Some(before), Some(after)) => {
                let behind = before
                    .places
                    .iter()
                    .map(|place| Place { at: place.at + before.len(), ..*place });
                let pairs = || {
                    let each = |one: Place| after.places.iter().map(move |other| (one, *other));
                    behind.clone().flat_map(each)
                };
                let common = || pairs().filter(|(one, other)| one.passage == other.passage);
                if common().next().is_some() {
                    // One of these passages is the quoted one. It is not known which, so what is
                    // missing in one of them may be missing.
                    common().all(|(one, other)| self.adjacent(one, other))
                } else {
                    pairs().any(|(one, other)| self.adjacent(one, other))
                }
            }
        }
    }

    fn nothing_before(&self, place: Place) -> bool {
        let passage = &self.passages[place.passage];
        match passage.kind {
            Kind::Frame => passage.slot.is_none_or(|slot| place.at < slot),
            Kind::Shared | Kind::Draft | Kind::Secret => place.at < GRAM_WORDS,
        }
    }

    fn nothing_behind(&self, place: Place, length: usize) -> bool {
        let passage = &self.passages[place.passage];
        let end = place.at + length;
        match passage.kind {
            Kind::Frame => passage.slot.is_none_or(|slot| slot < end),
            Kind::Shared | Kind::Draft | Kind::Secret => end + GRAM_WORDS > passage.words.len(),
        }
    }

    /// `behind` is the place behind the run before, `next` the one at which the next begins.
    fn adjacent(&self, behind: Place, next: Place) -> bool {
        let (one, other) = (&self.passages[behind.passage], &self.passages[next.passage]);
        if behind.passage == next.passage && behind.at <= next.at {
            return match (one.kind, one.slot) {
                (Kind::Frame, Some(slot)) => !(behind.at..=next.at).contains(&slot),
                (Kind::Frame, None) => true,
                (Kind::Shared | Kind::Draft | Kind::Secret, _) => next.at - behind.at < GRAM_WORDS,
            };
        }
        match (one.kind, other.kind) {
            (Kind::Frame, Kind::Frame) => {
                one.slot.is_none_or(|slot| slot < behind.at)
                    && other.slot.is_none_or(|slot| next.at < slot)
            }
            (Kind::Frame, _) => self.nothing_before(next),
            (_, Kind::Frame) => behind.at + GRAM_WORDS > one.words.len(),
            (_, _) => behind.at + GRAM_WORDS > one.words.len() && self.nothing_before(next),
        }
    }

    /// Whether these words are a whole line of something hidden, and not of something shared.
    pub fn is_line(&self, words: &[Token]) -> bool {
        let words = hashes_of(words);
        self.lines.contains(&words) && !self.shared_lines.contains(&words)
    }

    /// Whether these words are a whole line of something that the customer knows.
    pub fn is_shared_line(&self, words: &[Token]) -> bool {
        self.shared_lines.contains(&hashes_of(words))
    }

    /// Whether a line of these words begins as lines of notifications do.
    pub fn begins_with_label(&self, line: &str) -> bool {
        let words = tokens::read(line).1;
        let labelled = |label: &str| self.labels.contains(&hashes_of(&tokens::read(label).1));
        let colon = line.split_once([':', '\u{ff1a}']).is_some_and(|(label, _)| labelled(label));
        // A label without a colon is the beginning of a sentence.
        let sentence = || {
            (GRAM_WORDS..=words.len().min(LABEL_WEIGHT_MAX))
                .any(|count| self.labels.contains(&hashes_of(&words[..count])))
        };
        colon || sentence()
    }

    /// Whether a word stands in frames or is filled in there.
    pub fn is_of_frame(&self, token: Token) -> bool {
        self.vocabulary.contains(&token.word)
    }

    /// Whether a word is of the name of a queue, and the customer does not know it.
    pub fn is_queue(&self, token: Token) -> bool {
        self.queues.contains(&token.word)
    }

    /// Whether only internal articles have this word.
    pub fn is_secret_word(&self, token: Token) -> bool {
        self.secret_words.contains(&token.word)
    }

    /// Whether a key of the configuration stands in the text.
    pub fn has_key(&self, text: &[Token]) -> bool {
        !self.keys.is_empty()
            && text.windows(GRAM_WORDS).any(|gram| self.keys.contains(&hashes(gram)))
    }
}

impl Run {
    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the customer must not see it.
    pub fn is_hidden(&self) -> bool {
        self.kind != Kind::Shared
    }
}

fn hashes(gram: &[Token]) -> [u64; GRAM_WORDS] {
    std::array::from_fn(|at| gram[at].word)
}

fn hashes_of(words: &[Token]) -> Vec<u64> {
    words.iter().map(|token| token.word).collect()
}
