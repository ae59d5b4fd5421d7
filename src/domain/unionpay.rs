//! What UnionPay terminals and acquirers say to each other that has no other room: the layouts of
//! a sign-in's answer. MAC schemes and PIN block layouts stand with the others of their kind.

pub mod sign_in;
