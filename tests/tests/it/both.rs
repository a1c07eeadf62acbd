//! Every test runs on SQLite and on PostgreSQL, and says in its path on which.

/// Registers tests that take a [`roundsman_tests::database::Kind`].
macro_rules! on_both_databases {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(roundsman_tests::database::Kind::Sqlite).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(roundsman_tests::database::Kind::Postgres).await;
            })*
        }
    };
}
