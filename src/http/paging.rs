//! Pages of a listing: `?limit=&cursor=`, and `next` in the answer.

use serde::Deserialize;

use super::dto::PageView;
use crate::store::Page;

/// Rows of a page unless asked otherwise.
pub const LIMIT_DEFAULT: usize = 50;
/// Most rows of one page.
pub const LIMIT_MAX: usize = 200;

/// The part of a query that every listing understands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Rows, at most [`LIMIT_MAX`].
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<u64>,
}

impl PageQuery {
    /// As given in a longer query.
    pub fn new(limit: Option<usize>, cursor: Option<u64>) -> PageQuery {
        PageQuery { limit, cursor }
    }

    /// Rows to answer with.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// Where to begin.
    pub fn before(&self) -> Option<u64> {
        self.cursor
    }
}

/// Shapes a page of the store.
pub fn page<T, V, C>(page: Page<T, C>, view: impl Fn(&T) -> V) -> PageView<V, C> {
    PageView { items: page.items.iter().map(view).collect(), next: page.next }
}

/// What may stand in the query of a listing of what is declared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyQuery {
    limit: Option<usize>,
    /// The key of the last row of the page before.
    cursor: Option<String>,
}

impl KeyQuery {
    /// A page of these rows, in the order of their keys; no two have the same.
    pub fn page<V>(&self, mut rows: Vec<(String, V)>) -> PageView<V, String> {
        rows.retain(|(key, _)| self.cursor.as_ref().is_none_or(|cursor| key > cursor));
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let limit = PageQuery::new(self.limit, None).limit();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(key, _)| key.clone());
        PageView { items: rows.into_iter().map(|(_, row)| row).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_keys_hold_every_row_once() {
        for limit in 1..5 {
            let (mut query, mut found) =
                (KeyQuery { limit: Some(limit), cursor: None }, Vec::new());
            loop {
                let rows = ["c", "a", "d", "b"].map(|key| (key.to_owned(), key)).to_vec();
                let page = query.page(rows);
                assert!(!page.items.is_empty() && page.items.len() <= limit);
                found.extend(page.items);
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, ["a", "b", "c", "d"], "in pages of {limit}");
        }
        assert_eq!(KeyQuery::default().page(Vec::<(String, u8)>::new()).next, None);
    }

    #[track_caller]
    fn check(limit: Option<usize>, expected: usize) {
        assert_eq!(PageQuery::new(limit, None).limit(), expected);
    }

    #[test]
    fn limits_stay_in_bounds() {
        check(None, LIMIT_DEFAULT);
        check(Some(0), 1);
        check(Some(7), 7);
        check(Some(1_000_000), LIMIT_MAX);
    }
}
