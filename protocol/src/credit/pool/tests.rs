use super::*;

const NOW: Time = Time::from_micros(1_000_000);

const COST_MAX: u64 = 100;
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

fn pool(messages: u64) -> Pool {
    Pool::new(Amount::new(messages, 1_000_000), COST_MAX)
}

fn granted(pool: &mut Pool, link: LinkId) -> u64 {
    pool.poll_grant(link).expect("a grant is due").messages
}

fn waiting(waiting: u64) -> Demand {
    Demand { waiting, asks: false }
}

/// Lets all grants be seen by senders that have dispatched nothing.
fn settle(pool: &mut Pool) {
    while let Some(due) = pool.poll_due() {
        let Some(grant) = pool.poll_grant(due) else { continue };
        assert!(pool.echo(due, Echo { serial: grant.serial, messages: 0, bytes: 0 }));
    }
}

#[test]
fn who_waits_gets_what_an_idle_one_may_not_sit_on_any_more_once_there_is_less_room() {
    let mut pool = pool(0);
    let room = |messages| Amount::new(messages, 1_000_000);
    pool.forward(room(4), Amount::ZERO);
    pool.attach(A);
    pool.attach(B);
    settle(&mut pool);
    assert_eq!(pool.outstanding_on(A).messages, 1, "its share of what is spread");
    pool.demand(B, waiting(9), NOW);
    settle(&mut pool);
    let given = pool.outstanding_on(B);
    assert!(pool.receive(B, Amount::new(given.messages, 10 * given.messages)));
    pool.forward(room(1), Amount::ZERO);
    let lowered = pool.poll_grant(A).expect("it is taken back");
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
    assert_eq!((pool.outstanding_on(A).messages, pool.outstanding_on(B).messages), (0, 1));
}

#[test]
fn one_sender_gets_exactly_the_room() {
    let mut pool = pool(7);
    pool.attach(A);
    assert_eq!(pool.poll_due(), Some(A));
    assert_eq!(granted(&mut pool, A), 7);
    assert!(pool.receive(A, Amount::new(7, 70)));
    assert!(!pool.receive(A, Amount::new(1, 10)), "beyond the window");
}

#[test]
fn a_window_of_one_goes_to_the_sender_with_work() {
    let mut pool = pool(1);
    pool.attach(A);
    assert_eq!(granted(&mut pool, A), 1);
    pool.attach(B);
    pool.demand(B, waiting(3), NOW);
    let lowered = pool.poll_grant(A).unwrap();
    assert_eq!(lowered.messages, 0, "A is idle and sits on the only room");
    assert_eq!(pool.outstanding_on(B), Amount::ZERO, "not before A has echoed");
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
    assert_eq!(granted(&mut pool, B), 1);
}

#[test]
fn a_window_of_zero_has_the_room_of_the_calls_that_wait() {
    let mut pool = pool(0);
    pool.attach(A);
    assert!(pool.poll_grant(A).is_none());
    pool.set_waiting(1);
    assert_eq!(granted(&mut pool, A), 1);
    pool.set_waiting(0);
    assert_eq!(granted(&mut pool, A), 0, "a cancelled call takes its credit back");
    assert!(pool.receive(A, Amount::new(1, 10)), "it raced the cancellation");
    pool.set_waiting(1);
    assert!(pool.poll_grant(A).is_none(), "the one that waits is for this call");
    pool.set_waiting(0);
    pool.release(Amount::new(1, 10));
    assert!(pool.poll_grant(A).is_none());
}

#[test]
fn pausing_takes_everything_back_and_resuming_gives_it_again() {
    let mut pool = pool(10);
    pool.attach(A);
    assert_eq!(granted(&mut pool, A), 10);
    pool.set_paused(true);
    let lowered = pool.poll_grant(A).unwrap();
    assert_eq!(lowered.messages, 0);
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
    pool.set_paused(false);
    assert_eq!(granted(&mut pool, A), 10);
}

#[test]
fn credit_of_a_lost_link_goes_to_the_others() {
    let mut pool = pool(8);
    pool.attach(A);
    pool.attach(B);
    settle(&mut pool);
    assert!(pool.receive(A, Amount::new(2, 20)));
    pool.detach(A);
    assert_eq!(pool.outstanding_on(B).messages + pool.queued().messages, 8);
}

#[test]
fn a_window_filled_by_messages_taken_one_by_one_is_granted_in_batches() {
    let mut pool = pool(100);
    pool.attach(A);
    granted(&mut pool, A);
    assert!(pool.receive(A, Amount::new(100, 1_000)));
    let grants = (0..100).filter(|_| {
        pool.release(Amount::new(1, 10));
        pool.poll_grant(A).is_some()
    });
    assert!(grants.count() <= 5);
    assert_eq!(pool.outstanding_on(A).messages, 100, "all of it in the end");
}

#[test]
fn who_comes_later_gets_a_share_of_what_the_first_one_has() {
    let mut pool = pool(100);
    for link in 1..=50 {
        pool.attach(LinkId(link));
        settle(&mut pool);
        for other in 1..=link {
            assert!(pool.outstanding_on(LinkId(other)).messages >= 1, "{other} of {link}");
        }
    }
    assert!(pool.outstanding().messages <= 100);
}

#[test]
fn where_there_is_one_for_each_everybody_gets_one_until_somebody_waits() {
    let mut pool = pool(3);
    for link in [A, B, LinkId(3)] {
        pool.attach(link);
        settle(&mut pool);
    }
    let messages = [A, B, LinkId(3)].map(|link| pool.outstanding_on(link).messages);
    assert_eq!(messages, [1, 1, 1]);
    assert!(pool.receive(B, Amount::new(1, 10)));
    pool.demand(B, waiting(1), NOW);
    let lowered = pool.poll_grant(A).expect("somebody needs it more");
    assert_eq!(lowered.messages, 0);
    assert!(pool.poll_grant(LinkId(3)).is_none(), "no more than is needed is taken back");
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
    assert_eq!(granted(&mut pool, B), 2);
}

#[test]
fn who_asks_is_answered_once_nothing_comes_back_any_more() {
    let mut pool = Pool::that_answers(Amount::new(1, 1_000_000), COST_MAX);
    pool.attach(A);
    assert_eq!(granted(&mut pool, A), 1);
    pool.attach(B);
    granted(&mut pool, B);
    pool.demand(B, waiting(1), NOW);
    assert!(pool.poll_grant(B).is_none(), "A may not need it");
    let lowered = pool.poll_grant(A).expect("it sits on it");
    assert!(pool.receive(A, Amount::new(1, 10)), "it needs it");
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 1, bytes: 10 }));
    assert_eq!(granted(&mut pool, B), 0, "there is none");
    pool.release(Amount::new(1, 10));
    assert_eq!(granted(&mut pool, B), 1, "now there is");
}

#[test]
fn who_asks_for_more_than_there_is_is_answered_once_nothing_comes_back_any_more() {
    const C: LinkId = LinkId(3);
    let used = Amount::new(1, 10);
    for a_needs_it in [false, true] {
        let mut pool = Pool::that_answers(Amount::new(3, 3 * COST_MAX), COST_MAX);
        [A, B, C].into_iter().for_each(|link| pool.attach(link));
        settle(&mut pool);
        assert!(pool.receive(B, used) && pool.receive(C, used));
        pool.demand(C, waiting(2), NOW);
        assert!(pool.poll_grant(C).is_none(), "A may not need what it sits on");
        let lowered = pool.poll_grant(A).expect("it sits on it").serial;
        pool.release(used);
        let first = pool.poll_grant(C).map(|grant| (grant.messages, grant.answered));
        assert_eq!(first, Some((2, 0)), "one of two, and there may be more");
        assert!(!a_needs_it || pool.receive(A, used));
        let (messages, bytes) = if a_needs_it { (1, 10) } else { (0, 0) };
        assert!(pool.echo(A, Echo { serial: lowered, messages, bytes }));
        let second = pool.poll_grant(C).map(|grant| (grant.messages, grant.answered));
        assert_eq!(second, Some((3 - messages, 1)));
    }
}

#[test]
fn nobody_waits_twice_for_what_does_not_come_back() {
    let mut pool = Pool::that_answers(Amount::new(1, 1_000_000), COST_MAX);
    pool.attach(A);
    granted(&mut pool, A);
    pool.attach(B);
    granted(&mut pool, B);
    pool.demand(B, waiting(1), NOW);
    assert!(pool.poll_grant(B).is_none());
    pool.demand(B, waiting(0), NOW);
    pool.demand(B, waiting(1), NOW);
    assert!(pool.poll_grant(B).is_none(), "it went elsewhere, but not for want of an answer");
    let later = NOW + IMPATIENT_AFTER;
    pool.demand(B, waiting(0), later);
    pool.demand(B, waiting(1), later);
    assert_eq!(granted(&mut pool, B), 0);
}

#[test]
fn nobody_gets_more_bytes_than_its_messages_can_take() {
    let mut pool = Pool::that_answers(Amount::new(4, 4 * COST_MAX), COST_MAX);
    pool.set_paused(true);
    (1..=9).for_each(|link| pool.attach(LinkId(link)));
    pool.set_paused(false);
    for link in (1..=4).map(LinkId) {
        pool.demand(link, waiting(1), NOW);
        assert_eq!(pool.outstanding_on(link), Amount::new(1, COST_MAX), "{link}");
    }
}

#[test]
fn of_those_who_wait_the_better_level_gets_the_room_and_a_worse_one_what_it_leaves() {
    let level = |level| Priority::new(level).unwrap();
    let mut pool = pool(1);
    pool.attach_at(A, level(2));
    pool.attach_at(B, level(1));
    pool.attach_at(LinkId(3), level(2));
    pool.set_paused(true);
    settle(&mut pool);
    for link in [LinkId(3), A, B] {
        pool.demand(link, waiting(2), NOW);
    }
    pool.set_paused(false);
    for expected in [B, B, LinkId(3), A, LinkId(3), A] {
        let given: Vec<_> = [A, B, LinkId(3)]
            .into_iter()
            .filter(|l| pool.outstanding_on(*l).messages > 0)
            .collect();
        assert_eq!(given, [expected]);
        granted(&mut pool, expected);
        assert!(pool.receive(expected, Amount::new(1, 10)));
        pool.release(Amount::new(1, 10));
        while pool.poll_due().is_some() {}
    }
}

#[test]
fn one_that_asks_is_answered_also_if_others_are_not() {
    let mut pool = pool(1);
    pool.attach(A);
    pool.attach(B);
    settle(&mut pool);
    assert!(pool.receive(A, Amount::new(1, 10)), "the room is taken");
    pool.demand(B, waiting(1), NOW);
    assert!(pool.poll_grant(B).is_none());
    pool.demand(B, Demand { waiting: 1, asks: true }, NOW);
    assert_eq!(granted(&mut pool, B), 0, "there is none");
    pool.release(Amount::new(1, 10));
    assert_eq!(granted(&mut pool, B), 1);
}

#[test]
fn a_grant_says_which_questions_it_answers() {
    let mut pool = Pool::that_answers(Amount::new(1, 1_000_000), COST_MAX);
    pool.attach(A);
    granted(&mut pool, A);
    pool.attach(B);
    assert_eq!(pool.poll_grant(B).map(|grant| grant.answered), Some(0));
    pool.demand(B, waiting(1), NOW);
    let lowered = pool.poll_grant(A).expect("it sits on it");
    let repeated = pool.repeat_grant(B).map(|grant| grant.answered);
    assert_eq!(repeated, Some(0), "something is on its way back");
    assert!(pool.receive(A, Amount::new(1, 10)));
    assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 1, bytes: 10 }));
    assert_eq!(pool.poll_grant(B).map(|grant| (grant.messages, grant.answered)), Some((0, 1)));
}

#[test]
fn a_window_may_be_as_large_as_numbers_go() {
    let mut pool = Pool::that_answers(Amount::new(u64::MAX, u64::MAX), COST_MAX);
    pool.attach(A);
    for _ in 0..3 {
        pool.demand(A, waiting(u64::MAX), NOW);
        assert!(pool.poll_grant(A).is_some_and(|grant| grant.messages > 1 << 32));
        assert!(pool.receive(A, Amount::new(1, COST_MAX)));
        pool.release(Amount::new(1, COST_MAX));
    }
    pool.set_window(Amount::new(u64::MAX, u64::MAX));
    pool.attach(B);
    pool.detach(A);
    pool.detach(B);
    assert_eq!(pool.outstanding(), Amount::ZERO);
}

#[test]
fn a_question_that_is_taken_back_and_asked_again_is_one_question() {
    let mut pool = Pool::that_answers(Amount::new(1, 1_000_000), COST_MAX);
    pool.attach(A);
    granted(&mut pool, A);
    pool.attach(B);
    for _ in 0..100 {
        pool.demand(B, waiting(1), NOW);
        pool.demand(B, waiting(0), NOW);
    }
    assert!(pool.askers.len() <= 1, "{}", pool.askers.len());
}

#[test]
fn who_tells_of_one_message_keeps_no_more_than_that_from_others_however_much_it_has() {
    for crossed in [false, true] {
        let mut pool = Pool::that_answers(Amount::new(100, 1_000_000), COST_MAX);
        pool.attach(A);
        if !crossed {
            assert_eq!(granted(&mut pool, A), 100, "it is alone");
        }
        // It may have said so before it heard of what it has.
        pool.demand(A, Demand { waiting: 1, asks: true }, NOW);
        assert_eq!(granted(&mut pool, A), 100);
        pool.attach(B);
        assert_eq!(granted(&mut pool, B), 0);
        pool.demand(B, Demand { waiting: 1, asks: true }, NOW);
        let lowered = pool.poll_grant(A).expect("it has to give back");
        assert_eq!(lowered.messages, 25, "what it may sit on");
        assert!(pool.poll_grant(B).is_none(), "something comes back");
        let returned = Echo { serial: lowered.serial, messages: 0, bytes: 0 };
        assert!(pool.echo(A, returned));
        assert!(granted(&mut pool, B) > 0);
    }
}

#[test]
fn who_was_held_back_gets_its_share_also_of_what_another_sits_on() {
    let mut pool = Pool::that_answers(Amount::new(1, 1_000_000), COST_MAX);
    pool.attach(A);
    pool.attach(B);
    settle(&mut pool);
    assert!(pool.receive(A, Amount::new(1, 10)));
    pool.set_held(A, true);
    pool.release(Amount::new(1, 10));
    pool.demand(A, waiting(5), NOW);
    pool.demand(B, waiting(1), NOW);
    while let Some(due) = pool.poll_due() {
        pool.poll_grant(due);
    }
    assert_eq!(pool.outstanding_on(A).messages, 0);
    assert_eq!(pool.outstanding_on(B).messages, 1, "nobody else is to have it");
    assert_eq!(pool.want().waiting, 0);
    pool.demand(B, waiting(0), NOW);
    pool.set_held(A, false);
    let lowered = pool.poll_grant(B).expect("it needs it no more");
    assert!(pool.echo(B, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
    assert_eq!(pool.outstanding_on(A).messages, 1);
}

#[test]
fn of_very_many_links_none_has_nothing_while_there_is_room_for_all() {
    let mut pool = pool(0);
    let links: Vec<LinkId> = (0..1_000).map(LinkId).collect();
    let room = |messages| Amount::new(messages, messages * COST_MAX);
    for link in &links {
        pool.attach(*link);
    }
    for messages in [0, 3_000, 10_000, 9_999, 2_500, 2_499, 100_000, 99_000, 0, 2_000, 4_000] {
        pool.forward(room(messages), Amount::ZERO);
        settle(&mut pool);
        let had = |link: &LinkId| pool.outstanding_on(*link).messages;
        let (least, all) = (links.iter().map(had).min(), links.iter().map(had).sum::<u64>());
        assert_eq!(least > Some(0), messages > 0, "{messages}: {least:?}");
        assert!(all <= messages, "{all} of {messages}");
    }
}

#[test]
fn one_of_very_many_links_that_may_have_more_gets_it_although_the_room_is_the_same() {
    let mut pool = Pool::that_answers(Amount::new(0, COST_MAX), COST_MAX);
    let links: Vec<LinkId> = (0..1_000).map(LinkId).collect();
    links.iter().for_each(|link| pool.attach(*link));
    let room = |messages| Amount::new(messages, messages * COST_MAX);
    for (cap, wanted) in [(0, 0), (5_000, 2)] {
        let cap = (LinkId(7), room(cap));
        pool.forward_capped(room(5_000), Amount::ZERO, [cap].into_iter());
        settle(&mut pool);
        assert_eq!(pool.outstanding_on(LinkId(7)).messages, wanted);
    }
}

#[test]
fn what_is_counted_of_all_links_is_the_sum_of_what_they_have() {
    let mut pool = Pool::that_answers(Amount::new(0, COST_MAX), COST_MAX);
    let links = [LinkId(1), LinkId(2), LinkId(3), LinkId(4)];
    let check = |pool: &Pool| {
        let (each, others) = pool.wants(links[..2].iter().copied());
        let all = pool.lines.values().map(Line::want).fold(Want::NOTHING, Want::add);
        assert_eq!((pool.want(), each.into_iter().fold(others, Want::add)), (all, all));
        let holds = |(id, line): (&LinkId, &Line)| {
            (line.granter.outstanding() != Amount::ZERO).then_some(*id)
        };
        assert!(pool.lines.iter().filter_map(holds).eq(pool.holders.iter().copied()));
        let hungry = pool.hungry.iter().map(|link| pool.lines[link].demand);
        assert_eq!(hungry.fold(0, u64::saturating_add), all.waiting, "who waits is in line");
    };
    let room = |messages| Amount::new(messages, messages * COST_MAX);
    pool.forward(room(5), Amount::ZERO);
    links.iter().for_each(|link| pool.attach(*link));
    for turn in 0..400u64 {
        let link = links[(turn % 4) as usize];
        match turn * 7 % 11 {
            0 => pool.demand(link, waiting(turn % 9), NOW),
            1 => pool.demand(link, waiting(u64::MAX - turn), NOW),
            2 => pool.forward(room(turn % 6), Amount::ZERO),
            3 => pool.set_held(link, turn % 2 == 0),
            4 => pool.doubt([link].into_iter()),
            5 => pool.detach(link),
            6 if !pool.lines.contains_key(&link) => pool.attach(link),
            _ => drop(pool.poll_grant(link)),
        }
        check(&pool);
        if turn % 3 > 0 && pool.receive(link, Amount::new(1, 10)) {
            pool.release(Amount::new(1, 10));
        }
        check(&pool);
    }
}
