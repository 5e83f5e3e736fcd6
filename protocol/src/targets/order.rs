//! The order of a service's targets, as RFC 2782 has it.

/// One of those that provide a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target<T> {
    /// Where it is.
    pub endpoint: T,
    /// Lower ones come first.
    pub priority: u16,
    /// Among those of one priority, how much sooner it tends to come than lighter ones.
    pub weight: u16,
}

/// Orders targets by priority, and those of one priority by chance: each time the next one is drawn with the odds of its
/// weight. `entropy` gives any random number.
#[must_use]
pub fn in_order<T>(
    mut targets: Vec<Target<T>>,
    mut entropy: impl FnMut() -> u64,
) -> Vec<Target<T>> {
    // Those without weight come first, so that they have the smallest chance and not none.
    targets.sort_by_key(|target| (target.priority, target.weight > 0));
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let priority = first.priority;
        let equals = targets.iter().take_while(|target| target.priority == priority);
        let sum: u64 = equals.map(|target| u64::from(target.weight)).sum();
        let mut left = entropy() % (sum + 1);
        let drawn = targets.iter().position(|target| {
            let weight = u64::from(target.weight);
            let is_drawn = left <= weight;
            left = left.saturating_sub(weight);
            is_drawn
        });
        // There is a first one, and the draw is within the sum: both cannot fail.
        ordered.push(targets.remove(drawn.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(endpoint: &str, priority: u16, weight: u16) -> Target<&str> {
        Target { endpoint, priority, weight }
    }

    fn names(targets: &[Target<&'static str>]) -> Vec<&'static str> {
        targets.iter().map(|target| target.endpoint).collect()
    }

    #[test]
    fn better_priorities_come_first_whatever_the_draw() {
        let targets = vec![
            target("c", 20, 65_535),
            target("a", 0, 0),
            target("b", 10, 1),
            target("d", 30, 5),
        ];
        for entropy in 0..1_000 {
            let ordered = in_order(targets.clone(), || entropy);
            assert_eq!(names(&ordered), ["a", "b", "c", "d"]);
        }
    }

    #[test]
    fn heavier_ones_are_first_as_often_as_they_weigh() {
        let targets = vec![target("heavy", 1, 3), target("light", 1, 1), target("none", 1, 0)];
        // One draw of each number that there is, for the first place: 0 to the sum of the weights.
        let first = |number| in_order(targets.clone(), || number).remove(0).endpoint;
        let drawn: Vec<_> = (0..5).map(first).collect();
        assert_eq!(drawn, ["none", "heavy", "heavy", "heavy", "light"]);
    }

    #[test]
    fn the_rest_is_drawn_by_the_weights_that_are_left() {
        let targets = vec![target("a", 1, 5), target("b", 1, 5), target("c", 1, 5)];
        let mut numbers = [10, 0, 0].into_iter();
        let ordered = in_order(targets, || numbers.next().unwrap());
        assert_eq!(names(&ordered), ["b", "a", "c"]);
    }
}
