//! What a topology is made of: the sockets and devices, and who goes with whom.

/// One pattern of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Push,
    Pull,
    Pub,
    Sub,
    Req,
    Rep,
}

impl Role {
    /// What can be at the other end of a link.
    pub(super) const fn partner(self) -> Self {
        match self {
            Role::Push => Role::Pull,
            Role::Pull => Role::Push,
            Role::Pub => Role::Sub,
            Role::Sub => Role::Pub,
            Role::Req => Role::Rep,
            Role::Rep => Role::Req,
        }
    }

    /// Whether work goes from it to its partner.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Role::Push | Role::Pub | Role::Req)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Role::Push => "PUSH",
            Role::Pull => "PULL",
            Role::Pub => "PUB",
            Role::Sub => "SUB",
            Role::Req => "REQ",
            Role::Rep => "REP",
        }
    }
}

/// One side of a socket or device, and the options that say where it is.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Side {
    pub(super) role: Role,
    pub(super) bind: &'static str,
    pub(super) connect: &'static str,
}

/// A command that a topology may start.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Kind {
    /// The command.
    pub(super) name: &'static str,
    pub(super) sides: &'static [Side],
    /// It has work of its own, from its stdin.
    pub(super) reads_input: bool,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Whether it stands between others.
    pub(super) const fn is_device(&self) -> bool {
        self.sides.len() > 1
    }

    pub(super) fn side(&self, role: Role) -> Option<&'static Side> {
        self.sides.iter().find(|side| side.role == role)
    }
}

const fn socket(name: &'static str, sides: &'static [Side], reads_input: bool) -> Kind {
    Kind { name, sides, reads_input }
}

const fn only(role: Role) -> Side {
    Side { role, bind: "bind", connect: "connect" }
}

const fn upstream(role: Role) -> Side {
    Side { role, bind: "upstream-bind", connect: "upstream-connect" }
}

const fn downstream(role: Role) -> Side {
    Side { role, bind: "downstream-bind", connect: "downstream-connect" }
}

pub(super) static KINDS: [Kind; 9] = [
    socket("push", &[only(Role::Push)], true),
    socket("pull", &[only(Role::Pull)], false),
    socket("pub", &[only(Role::Pub)], true),
    socket("sub", &[only(Role::Sub)], false),
    socket("req", &[only(Role::Req)], true),
    socket("rep", &[only(Role::Rep)], false),
    socket("streamer", &[upstream(Role::Pull), downstream(Role::Push)], false),
    socket("router", &[upstream(Role::Rep), downstream(Role::Req)], false),
    socket("proxy", &[upstream(Role::Sub), downstream(Role::Pub)], false),
];
