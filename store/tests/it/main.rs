//! The contract of the stores: the same tests against SQLite and a real Postgres, and what is particular to each.
#![cfg(all(feature = "postgres", feature = "sqlite"))]
// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// Shared with the tests of the whole program, which use more of it.
#[allow(unreachable_pub, dead_code)]
mod cluster;
mod contract;
mod place;
mod postgres;
mod query;
mod sample;
mod sqlite;
mod twins;

/// Makes each test twice: once per store.
macro_rules! for_both {
    ($($module:ident: $($test:ident),+;)+) => {
        mod in_sqlite {
            $($(#[tokio::test]
            async fn $test() {
                Box::pin(crate::$module::$test(crate::place::Place::sqlite())).await;
            })+)+
        }
        mod in_postgres {
            $($(#[tokio::test]
            async fn $test() {
                Box::pin(crate::$module::$test(crate::place::Place::postgres())).await;
            })+)+
        }
    };
}

for_both! {
    contract: the_views_show_what_was_written, a_cursor_is_moved_by_compare_and_set, an_adopted_journal_fences_the_earlier_process,
        a_failed_write_leaves_nothing, a_probe_writes_nothing, facts_merge_in_any_order, posts_add_up,
        a_time_without_a_fact_says_that_the_stored_one_was_true_then, times_of_last_sight_catch_up_with_the_observations, observations_are_found,
        locations_are_found, recent_rows_come_back, a_changed_schema_is_a_schema_error, a_newer_schema_is_refused,
        without_a_connection_nothing_is_done, pseudonyms_of_every_sign_are_hexadecimal, a_poison_string_spoils_only_its_own_probe,
        long_strings_are_stored, every_table_and_column_is_explained;
    query: an_answer_has_names_and_typed_cells, nothing_can_be_changed, errors_are_told, questions_see_the_database_as_it_was_at_the_first;
}
