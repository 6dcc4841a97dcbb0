//! One input, two stores, the same views row by row.

use store::batch::Radio;
use store::client::ClientId;
use store::group::{Group, Pair};
use store::writer::Store;

use crate::place::Place;
use crate::sample::{Add, NOON, Writer, ap, bare_access_point, bare_client, fact};

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 8) % bound
    }

    fn time(&mut self) -> i64 {
        NOON + i64::try_from(self.below(200_000)).unwrap()
    }

    fn number(&mut self) -> f64 {
        f64::from(u32::try_from(self.below(1_000_000)).unwrap()) / 7.0 - 1_000.0
    }
}

fn group(numbers: &mut Numbers) -> Group {
    let mut group = Group::default();
    let clients: Vec<ClientId> = (0..40).map(|n| ClientId(if n % 5 == 0 { numbers.next() >> 16 } else { numbers.next() })).collect();
    for _ in 0..700 {
        let radio = if numbers.below(4) == 0 { Radio::Ble } else { Radio::Wifi };
        let network = ["", "N_1", "L_2"][numbers.below(3) as usize];
        let source = group.source(["mall", "airport"][numbers.below(2) as usize], network, Some(ap(numbers.below(9))), radio);
        let ssid = ["", "guest", "staff", "a|'b\"\\", "日本"][numbers.below(5) as usize];
        let rssi = -1 - i8::try_from(numbers.below(120)).unwrap();
        group.observe(numbers.time(), clients[numbers.below(40) as usize], source, ssid, rssi);
    }
    for _ in 0..300 {
        let source = group.source("mall", "N_1", None, Radio::Wifi);
        let mut place = [numbers.number(), numbers.number(), numbers.number(), numbers.number(), numbers.number()];
        match numbers.below(4) {
            0 => place[..2].fill(f64::NAN),
            1 => place[2..].fill(f64::NAN),
            _ => {}
        }
        group.locate(numbers.time(), clients[numbers.below(40) as usize], source, ["g_1", "g_2"][numbers.below(2) as usize], place);
    }
    for number in 0..6 {
        let at = numbers.time();
        let mut row = bare_access_point(&mut group, "mall", ap(number), at);
        if numbers.below(2) == 0 {
            row.name = fact(&mut group, &format!("name {}", numbers.below(9)), at);
            row.tags = fact(&mut group, r#"["x", "ü"]"#, at);
            row.on_earth = Pair { a: numbers.number(), b: numbers.number(), at };
        }
        group.access_points.push(row);
    }
    for number in 0..300 {
        let at = numbers.time();
        let mut row = bare_client(&mut group, "mall", ClientId(number << 57 | number), [Radio::Wifi, Radio::Ble][number as usize % 2], at);
        for column in 0..row.facts.len() {
            if numbers.below(3) == 0 {
                row.facts[column] = fact(&mut group, &format!("fact {}", numbers.below(50)), at);
            }
        }
        group.clients.push(row);
    }
    for number in 0..group.sources.len() {
        group.post(number as u32, NOON + 60 * i64::try_from(numbers.below(5)).unwrap(), numbers.below(10), numbers.below(100));
    }
    group
}

#[tokio::test]
async fn both_stores_show_the_same() {
    let (sqlite, postgres) = (Place::sqlite(), Place::postgres());
    let mut in_sqlite = Writer::adopt(sqlite.store().await).await;
    let mut in_postgres = Writer::adopt(postgres.store().await).await;
    let mut numbers = Numbers(1);
    for _ in 0..4 {
        let group = group(&mut numbers);
        in_sqlite.write(&group).await.unwrap();
        in_postgres.write(&group).await.unwrap();
    }
    assert_eq!(in_sqlite.store.newest_received_ms().await.unwrap(), in_postgres.store.newest_received_ms().await.unwrap());
    for (view, rows) in [("observations", 2_800), ("locations", 1_200), ("access_points", 6), ("clients", 300), ("posts", 20)] {
        let (mut left, mut right) = (sqlite.ask(&format!("SELECT * FROM {view}")).await, postgres.ask(&format!("SELECT * FROM {view}")).await);
        left.sort();
        right.sort();
        assert!(left.len() >= rows, "{view}: {}", left.len());
        assert_eq!(left.len(), right.len(), "{view}");
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left, right, "{view}");
        }
    }
}
