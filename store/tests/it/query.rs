//! Questions by people: typed answers, nothing changed.

use store::query::{Asker, Cell, QueryError, Sink, query};

use crate::place::Place;
use crate::sample::{Writer, everything};

#[derive(Default)]
struct Answer {
    names: Vec<String>,
    rows: Vec<Vec<Cell>>,
    rows_max: Option<usize>,
}

impl Sink for Answer {
    fn columns(&mut self, names: Vec<String>) -> std::io::Result<()> {
        self.names = names;
        Ok(())
    }

    fn row(&mut self, cells: Vec<Cell>) -> std::io::Result<()> {
        if self.rows_max == Some(self.rows.len()) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.rows.push(cells);
        Ok(())
    }
}

pub(crate) async fn an_answer_has_names_and_typed_cells(place: Place) {
    Writer::adopt(place.store().await).await.write(&everything()).await.unwrap();
    let mut answer = Answer::default();
    let sql = "SELECT observed_at, received_at, rssi_dbm, associated, ssid, 1.5 AS number FROM observations ORDER BY observed_at LIMIT 2;";
    query(&place.url, sql, &mut answer).await.unwrap();
    assert_eq!(answer.names, ["observed_at", "received_at", "rssi_dbm", "associated", "ssid", "number"]);
    let text = |text: &str| Cell::Text(text.to_owned());
    let (yes, no) = if place.is_postgres() { (Cell::Bool(true), Cell::Bool(false)) } else { (Cell::Integer(1), Cell::Integer(0)) };
    let number = if place.is_postgres() { Cell::Decimal("1.5".to_owned()) } else { Cell::Number(1.5) };
    let first = vec![text("2026-03-01T12:00:00Z"), text("2026-03-01T12:00:01.500Z"), Cell::Integer(-60), yes, text("guest"), number.clone()];
    let second = vec![text("2026-03-01T12:00:01Z"), text("2026-03-01T12:00:02.500Z"), Cell::Integer(-120), no, Cell::Null, number];
    assert_eq!(answer.rows, [first, second]);
    // Names come even without rows, and an aggregate reads like a number.
    let mut answer = Answer::default();
    query(&place.url, "SELECT ssid FROM observations WHERE 1 = 0", &mut answer).await.unwrap();
    assert_eq!((answer.names, answer.rows.len()), (vec!["ssid".to_owned()], 0));
    let mut answer = Answer::default();
    query(&place.url, "SELECT count(*) AS posts, avg(x_m) FROM locations", &mut answer).await.unwrap();
    assert_eq!(answer.rows, [[Cell::Integer(2), Cell::Number(1.5)]]);
}

pub(crate) async fn nothing_can_be_changed(place: Place) {
    Writer::adopt(place.store().await).await.write(&everything()).await.unwrap();
    for sql in [
        "DELETE FROM observation",
        "DROP TABLE observation",
        "CREATE TABLE mine (a int)",
        "UPDATE client SET os = 'x'",
        "SELECT 1; DELETE FROM observation",
        "",
    ] {
        let error = query(&place.url, sql, &mut Answer::default()).await.unwrap_err();
        assert!(matches!(error, QueryError::Refused(_)), "{sql}: {error:?}");
    }
    assert_eq!(place.number("SELECT count(*) FROM observations").await, 4);
}

pub(crate) async fn errors_are_told(place: Place) {
    Writer::adopt(place.store().await).await.write(&everything()).await.unwrap();
    let error = query(&place.url, "SELECT nothing FROM observations", &mut Answer::default()).await.unwrap_err();
    assert!(error.to_string().contains("nothing"), "{error}");
    let mut broken = Answer { rows_max: Some(1), ..Answer::default() };
    assert!(matches!(query(&place.url, "SELECT * FROM observations", &mut broken).await, Err(QueryError::Sink(_))));
    let away = if place.is_postgres() { "postgres://nobody@127.0.0.1:1/none".to_owned() } else { format!("{}.away", place.url) };
    assert!(matches!(query(&away, "SELECT 1", &mut Answer::default()).await, Err(QueryError::Unreachable(_))));
    assert!(matches!(query("oracle:x", "SELECT 1", &mut Answer::default()).await, Err(QueryError::Url(_))));
}

/// What a command asks of one connection fits together, whatever is written meanwhile.
pub(crate) async fn questions_see_the_database_as_it_was_at_the_first(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&everything()).await.unwrap();
    let count = async |asker: &mut Asker| {
        let mut answer = Answer::default();
        asker.ask("SELECT count(*) FROM posts", &mut answer).await.unwrap();
        answer.rows[0][0].clone()
    };
    let mut asker = Asker::connect(&place.url).await.unwrap();
    assert_eq!(count(&mut asker).await, Cell::Integer(2));
    let mut more = everything();
    more.posts.iter_mut().for_each(|post| post.minute += 60);
    writer.write(&more).await.unwrap();
    assert_eq!(count(&mut asker).await, Cell::Integer(2));
    asker.close().await;
    let mut asker = Asker::connect(&place.url).await.unwrap();
    assert_eq!(count(&mut asker).await, Cell::Integer(4));
    asker.close().await;
}
