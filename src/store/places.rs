//! Where tickets lie: by queue, state and time of the last change, for lists and for counting.
//!
//! A row of `places` says of a ticket what lists filter and sort by, so that only the tickets of a
//! page are read whole. Rows of a queue and state lie beside each other in the order of change.
//!
//! Architecture invariant: rows are written by `put_ticket` alone, in the transaction of the
//! ticket.

use std::collections::{BTreeMap, BinaryHeap, HashSet};

use redb::{AccessGuard, Range, ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::outbox::micros;
use super::tables::{Tables, View};
use super::tickets::by_id;
use super::{Page, QueueCount, SortBy, TicketCursor, TicketQuery, customers, search};
use crate::core::search::{self as words, Sought};
use crate::core::ticket::{Priority, State, Ticket};

/// So few candidates are read one by one; for more, the lists are gone through.
const CANDIDATES_READ_MAX: usize = 1_000;
/// Tickets whose texts are compared for one page; the next page goes on from there.
const COMPARED_MAX: usize = 2_000;

/// Where a ticket lies, and what lists filter and sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    queue: String,
    state: u8,
    updated: i64,
    id: u64,
    columns: Vec<u8>,
}

impl Place {
    pub(super) fn of(ticket: &Ticket) -> Place {
        let mut columns = vec![rank(ticket.priority)];
        columns.extend_from_slice(ticket.owner.as_deref().unwrap_or_default().as_bytes());
        Place {
            queue: ticket.queue.clone(),
            state: code(ticket.state),
            updated: micros(ticket.updated),
            id: ticket.id.0,
            columns,
        }
    }

    fn key(&self) -> (&str, u8, i64, u64) {
        (&self.queue, self.state, self.updated, self.id)
    }
}

/// Moves a ticket from where it lay to where it lies.
pub(super) fn replace(
    tables: &mut Tables<'_>,
    before: Option<&Ticket>,
    after: &Ticket,
) -> Result<(), Fault> {
    let (before, after) = (before.map(Place::of), Place::of(after));
    let counted = |place: &Place| (place.queue.clone(), place.state);
    if let Some(before) = &before
        && before.key() != after.key()
    {
        tables.places.remove(before.key())?;
    }
    if before.as_ref().map(counted) != Some(counted(&after)) {
        if let Some(before) = &before {
            count(tables, before, -1)?;
        }
        count(tables, &after, 1)?;
    }
    if before.as_ref() != Some(&after) {
        tables.places.insert(after.key(), after.columns.as_slice())?;
    }
    Ok(())
}

fn count(tables: &mut Tables<'_>, place: &Place, by: i64) -> Result<(), Fault> {
    let key = (place.queue.as_str(), place.state);
    let had = tables.place_counts.get(key)?.map_or(0, |count| count.value());
    match had.saturating_add_signed(by) {
        0 => tables.place_counts.remove(key)?,
        has => tables.place_counts.insert(key, has)?,
    };
    Ok(())
}

/// How many tickets lie in each queue and state.
pub(super) fn counts(view: &View) -> Result<Vec<QueueCount>, Fault> {
    let mut counts = Vec::new();
    for row in view.place_counts.iter()? {
        let (key, count) = row?;
        let (queue, code) = key.value();
        counts.push(QueueCount {
            queue: queue.to_owned(),
            state: state(code)?,
            tickets: count.value(),
        });
    }
    Ok(counts)
}

/// Tickets in the order and from the place that are asked for.
pub(super) fn list(
    view: &View,
    index: Option<&search::Index>,
    query: &TicketQuery,
    after: Option<TicketCursor>,
    limit: usize,
) -> Result<Page<Ticket, TicketCursor>, Fault> {
    let sought = query.text.as_deref().map(|text| Sought::parse(text, &query.hook));
    let sought = sought.filter(|sought| !sought.is_empty());
    let candidates = candidates(view, index, query, sought.as_ref())?;
    let reader = Reader { view, query, sought, after, limit };
    match candidates {
        Some(candidates) if candidates.len() <= CANDIDATES_READ_MAX => {
            let mut tickets = Vec::new();
            for id in candidates {
                tickets.extend(by_id(&view.tickets, id)?);
            }
            reader.of_tickets(tickets)
        }
        candidates => reader.of_places(candidates.map(|ids| ids.into_iter().collect())),
    }
}

/// The tickets to look at; `None` if any may be meant.
fn candidates(
    view: &View,
    index: Option<&search::Index>,
    query: &TicketQuery,
    sought: Option<&Sought>,
) -> Result<Option<Vec<u64>>, Fault> {
    let of_customer = query.customer.as_ref().map(|customer| customers::tickets(view, customer));
    let of_customer = of_customer.transpose()?;
    let Some(sought) = sought else { return Ok(of_customer) };
    let lookups: Vec<_> = sought.parts.iter().flat_map(words::Part::lookups).collect();
    if lookups.is_empty() {
        return Ok(of_customer);
    }
    let mut found = match index {
        Some(index) => index.candidates(&lookups)?,
        None => Vec::new(),
    };
    // What was written since the index last read is looked at in any case.
    found.extend(search::unread(view, index)?);
    if let Some(his) = of_customer {
        found.retain(|id| his.binary_search(id).is_ok());
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// One listing.
struct Reader<'a> {
    view: &'a View,
    query: &'a TicketQuery,
    sought: Option<Sought>,
    after: Option<TicketCursor>,
    limit: usize,
}

impl Reader<'_> {
    fn of_tickets(&self, tickets: Vec<Ticket>) -> Result<Page<Ticket, TicketCursor>, Fault> {
        let mut keyed: Vec<(TicketCursor, Ticket)> = tickets
            .into_iter()
            .filter(|ticket| self.is_meant(ticket))
            .map(|ticket| (self.position(&Place::of(&ticket)), ticket))
            .filter(|(position, _)| self.is_ahead(position))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| self.order(a, b));
        self.fill(keyed.into_iter().map(|(position, ticket)| Ok((position, Some(ticket)))))
    }

    fn of_places(&self, only: Option<HashSet<u64>>) -> Result<Page<Ticket, TicketCursor>, Fault> {
        let wanted = |place: &Place| {
            only.as_ref().is_none_or(|only| only.contains(&place.id)) && self.is_owned(place)
        };
        if self.query.sort == SortBy::Updated {
            return self.fill(Merge::of(self)?.filter_map(|place| match place {
                Ok(place) => wanted(&place).then(|| Ok((self.position(&place), None))),
                Err(fault) => Some(Err(fault)),
            }));
        }
        let mut positions = Vec::new();
        for (queue, state) in self.groups()? {
            let all =
                (queue.as_str(), state, i64::MIN, 0)..=(queue.as_str(), state, i64::MAX, u64::MAX);
            for row in self.view.places.range(all)? {
                let place = place(row?);
                let position = self.position(&place);
                if wanted(&place) && self.is_ahead(&position) {
                    positions.push(position);
                }
            }
        }
        positions.sort_unstable_by(|a, b| self.order(a, b));
        self.fill(positions.into_iter().map(|position| Ok((position, None))))
    }

    /// Takes tickets in this order until the page is full.
    fn fill(
        &self,
        tickets: impl Iterator<Item = Result<(TicketCursor, Option<Ticket>), Fault>>,
    ) -> Result<Page<Ticket, TicketCursor>, Fault> {
        let (mut items, mut last) = (Vec::new(), None);
        for (compared, found) in tickets.enumerate() {
            let (position, ticket) = found?;
            if items.len() >= self.limit || compared >= COMPARED_MAX {
                return Ok(Page { items, next: last });
            }
            let ticket = match ticket {
                Some(ticket) => Some(ticket),
                None => by_id(&self.view.tickets, position.id)?,
            };
            if let Some(ticket) = ticket
                && self.is_meant(&ticket)
                && self.says_it(&ticket)?
            {
                items.push(ticket);
            }
            last = Some(position);
        }
        Ok(Page { items, next: None })
    }

    /// Queues and states that are asked for and have tickets.
    fn groups(&self) -> Result<Vec<(String, u8)>, Fault> {
        let mut groups = Vec::new();
        for row in self.view.place_counts.iter()? {
            let key = row?.0;
            let (queue, code) = key.value();
            let queue_fits = self.query.queue.as_ref().is_none_or(|wanted| wanted == queue);
            let states = &self.query.states;
            if queue_fits && (states.is_empty() || states.contains(&state(code)?)) {
                groups.push((queue.to_owned(), code));
            }
        }
        Ok(groups)
    }

    fn is_owned(&self, place: &Place) -> bool {
        let owner = place.columns.get(1..).unwrap_or_default();
        self.query.owner.as_ref().is_none_or(|wanted| wanted.as_bytes() == owner)
    }

    fn is_meant(&self, ticket: &Ticket) -> bool {
        let query = self.query;
        let customer = ticket.customer.as_ref().map(|customer| &customer.address);
        query.queue.as_ref().is_none_or(|queue| *queue == ticket.queue)
            && (query.states.is_empty() || query.states.contains(&ticket.state))
            && self.is_owned(&Place::of(ticket))
            && query.customer.as_ref().is_none_or(|wanted| customer == Some(wanted))
    }

    /// Whether what is looked for stands in the ticket or its articles.
    fn says_it(&self, ticket: &Ticket) -> Result<bool, Fault> {
        let Some(sought) = &self.sought else { return Ok(true) };
        let mut folded = search::ticket_texts(ticket);
        if sought.is_in(&folded) {
            return Ok(true);
        }
        for article in super::tickets::articles(&self.view.articles, ticket.id.0)? {
            folded.extend(search::article_texts(&article));
            if sought.is_in(&folded) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn position(&self, place: &Place) -> TicketCursor {
        position(self.query.sort, place)
    }

    fn is_ahead(&self, position: &TicketCursor) -> bool {
        self.after.as_ref().is_none_or(|after| self.order(after, position).is_lt())
    }

    fn order(&self, a: &TicketCursor, b: &TicketCursor) -> std::cmp::Ordering {
        if self.query.ascending { a.cmp(b) } else { b.cmp(a) }
    }
}

/// Where a ticket stands in a list of this order, as the cursor of what follows it.
pub(super) fn cursor(sort: SortBy, ticket: &Ticket) -> TicketCursor {
    position(sort, &Place::of(ticket))
}

fn position(sort: SortBy, place: &Place) -> TicketCursor {
    let priority = place.columns.first().copied().unwrap_or_default();
    match sort {
        SortBy::Created => TicketCursor { rank: 0, time: 0, id: place.id },
        SortBy::Updated => TicketCursor { rank: 0, time: place.updated, id: place.id },
        SortBy::Priority => TicketCursor { rank: priority, time: place.updated, id: place.id },
    }
}

/// Queue, state, time of the last change, identity.
type Key = (&'static str, u8, i64, u64);
type Row<'a> = (AccessGuard<'a, Key>, AccessGuard<'a, &'static [u8]>);

fn place((key, columns): Row<'_>) -> Place {
    let (queue, state, updated, id) = key.value();
    Place { queue: queue.to_owned(), state, updated, id, columns: columns.value().to_vec() }
}

/// The places of several queues and states in the order of change.
struct Merge {
    groups: Vec<Range<'static, Key, &'static [u8]>>,
    /// The next of each group: time and identity (negated where the first comes first), group.
    heads: BinaryHeap<Head>,
    ascending: bool,
}

/// The next place of a group, ordered so that the greatest is the next of all.
struct Head {
    order: (i64, u64),
    group: usize,
    place: Place,
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.order == other.order
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Merge {
    fn of(reader: &Reader<'_>) -> Result<Merge, Fault> {
        let ascending = reader.query.ascending;
        let mut merge = Merge { groups: Vec::new(), heads: BinaryHeap::new(), ascending };
        let (first, last) = match (&reader.after, ascending) {
            (None, _) => ((i64::MIN, 0), (i64::MAX, u64::MAX)),
            (Some(after), true) => ((after.time, after.id.saturating_add(1)), (i64::MAX, u64::MAX)),
            (Some(after), false) => ((i64::MIN, 0), (after.time, after.id.saturating_sub(1))),
        };
        for (queue, state) in reader.groups()? {
            let from = (queue.as_str(), state, first.0, first.1);
            let to = (queue.as_str(), state, last.0, last.1);
            merge.groups.push(reader.view.places.range(from..=to)?);
            merge.advance(merge.groups.len() - 1)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, group: usize) -> Result<(), Fault> {
        let range = &mut self.groups[group];
        let next = if self.ascending { range.next() } else { range.next_back() };
        if let Some(row) = next.transpose()? {
            let place = place(row);
            let order = match self.ascending {
                true => (place.updated.saturating_neg(), u64::MAX - place.id),
                false => (place.updated, place.id),
            };
            self.heads.push(Head { order, group, place });
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = Result<Place, Fault>;

    fn next(&mut self) -> Option<Result<Place, Fault>> {
        let Head { group, place, .. } = self.heads.pop()?;
        Some(self.advance(group).map(|()| place))
    }
}

/// A state as it stands in keys; never another number for the same state.
fn code(state: State) -> u8 {
    match state {
        State::New => 1,
        State::Open => 2,
        State::Pending => 3,
        State::Resolved => 4,
        State::Closed { successful: true } => 5,
        State::Closed { successful: false } => 6,
        State::Merged => 7,
    }
}

fn state(code: u8) -> Result<State, Fault> {
    Ok(match code {
        1 => State::New,
        2 => State::Open,
        3 => State::Pending,
        4 => State::Resolved,
        5 => State::Closed { successful: true },
        6 => State::Closed { successful: false },
        7 => State::Merged,
        other => return Err(Fault::Row(format!("stored state {other} is not known"))),
    })
}

fn rank(priority: Priority) -> u8 {
    Priority::ALL.iter().position(|known| *known == priority).map_or(0, |rank| rank as u8 + 1)
}

/// What does not hold together: every ticket lies in its place, nothing else does, and the counts
/// are right.
pub(super) fn faults(view: &View) -> Result<Vec<String>, Fault> {
    let mut faults = Vec::new();
    let mut counted: BTreeMap<(String, u8), u64> = BTreeMap::new();
    for row in view.places.iter()? {
        let place = place(row?);
        *counted.entry((place.queue.clone(), place.state)).or_default() += 1;
        // A ticket that cannot be read is reported as such elsewhere.
        let Ok(ticket) = by_id(&view.tickets, place.id) else { continue };
        if ticket.as_ref().map(Place::of) != Some(place.clone()) {
            faults.push(format!("ticket {} is listed where it does not lie", place.id));
        }
    }
    let (places, tickets) = (view.places.len()?, view.tickets.len()?);
    if places != tickets {
        faults.push(format!("{tickets} tickets are stored but {places} listed"));
    }
    let mut stored = BTreeMap::new();
    for row in view.place_counts.iter()? {
        let (key, count) = row?;
        let (queue, state) = key.value();
        stored.insert((queue.to_owned(), state), count.value());
    }
    if stored != counted {
        faults.push("the tickets of the queues are not as many as are counted".to_owned());
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_code() {
        let all = (1..=7).map(|code| state(code).unwrap());
        assert_eq!(all.map(code).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert!(state(0).is_err());
    }
}
