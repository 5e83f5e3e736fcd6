//! Endpoints: what all sockets with one side, and their builders, do alike.

use drawdown_protocol::Priority;

use crate::transport::{Endpoint, EndpointError};

/// What an engine is told of its links' endpoints, as far as the endpoints themselves say it.
pub(crate) trait OfEndpoint: Sized {
    fn of(endpoint: &Endpoint) -> Result<Self, EndpointError>;
}

impl OfEndpoint for Priority {
    fn of(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        Ok(endpoint.priority())
    }
}

/// Engines that do not rank their links.
impl OfEndpoint for () {
    fn of(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        match endpoint.priority() {
            Priority::BEST => Ok(()),
            _ => Err(EndpointError::ranked(endpoint)),
        }
    }
}

/// The methods of a socket that concern its links; told where its core and its options are, and what to call for each
/// endpoint.
macro_rules! socket_ends {
    ($($core:ident).+, $($options:ident).+) => {
        /// Binds another endpoint; gives it as it was bound, with the port that the system chose if it was 0. On whichever
        /// runtime this is called, peers are taken in on that which the socket was made on.
        ///
        /// # Errors
        /// If the endpoint is none, or none for a socket of this type, is in use, or may be reached by other machines
        /// without anyone checking who connects.
        pub async fn bind(
            &self,
            endpoint: impl $crate::transport::IntoEndpoint,
        ) -> Result<$crate::transport::Endpoint, $crate::error::Error> {
            let endpoint = endpoint.into_endpoint()?;
            let side = $crate::socket::OfEndpoint::of(&endpoint)?;
            $crate::socket::bind(&self.$($core).+, side, &endpoint).await
        }

        /// Connects to another endpoint, or to all that it stands for, in the background, and again whenever a link is
        /// lost. A name that cannot be looked up, or a file that cannot be read, is an event and is tried again. On whichever
        /// runtime this is called, or on none, links are made on that which the socket was made on.
        ///
        /// # Errors
        /// If the endpoint is none, is for binding only, or is none for a socket of this type.
        pub fn connect(
            &self,
            endpoint: impl $crate::transport::IntoEndpoint,
        ) -> Result<(), $crate::error::Error> {
            let endpoint = endpoint.into_endpoint()?;
            let side = $crate::socket::OfEndpoint::of;
            $crate::socket::connect(&self.$($core).+, side, endpoint, &self.$($options).+)?;
            Ok(())
        }

        /// What happens in the socket from now on.
        #[must_use]
        pub fn events(&self) -> $crate::event::Events {
            $crate::event::Events::new(self.$($core).+.subscribe())
        }
    };
}
pub(crate) use socket_ends;

/// The last methods of a builder whose `build` may have to open files.
macro_rules! builder_ends {
    ($socket:ident) => {
        /// Makes the socket and binds it; more endpoints can be added to the socket.
        ///
        /// # Errors
        /// If the endpoint is none or cannot be bound, and as for [`build`](Self::build). Nothing is left behind.
        pub async fn bind(
            self,
            endpoint: impl $crate::transport::IntoEndpoint,
        ) -> Result<$socket, $crate::error::Error> {
            let endpoint = endpoint.into_endpoint()?;
            let socket = self.build().await?;
            match socket.bind(endpoint).await {
                Ok(_) => Ok(socket),
                Err(error) => {
                    socket.abort().await;
                    Err(error)
                }
            }
        }

        /// Makes the socket and connects it; the link is made in the background, and made again whenever it is lost.
        ///
        /// # Errors
        /// If the endpoint is none, and as for [`build`](Self::build).
        pub async fn connect(
            self,
            endpoint: impl $crate::transport::IntoEndpoint,
        ) -> Result<$socket, $crate::error::Error> {
            let endpoint = endpoint.into_endpoint()?;
            let socket = self.build().await?;
            socket.connect(endpoint)?;
            Ok(socket)
        }
    };
}
pub(crate) use builder_ends;
