//! The receiving role against a sender that follows a script, honest or not.

mod honest;
mod hostile;
mod sender;
mod stock;
