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

#[cfg(test)]
mod tests {
    use super::*;

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
