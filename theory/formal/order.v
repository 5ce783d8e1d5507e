(** Inequalities of ordered fields, from the few facts that have one name in every version. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Order.
Variable R : realFieldType.
Implicit Types a b c d e x y : R.

Lemma add_ge0_gt0 a b : 0 <= a -> 0 < b -> 0 < a + b.
Proof. by rewrite le_eqVlt => /predU1P[<-|/addr_gt0 h]; [rewrite add0r | apply: h]. Qed.

Lemma le_add a b c d : a <= b -> c <= d -> a + c <= b + d.
Proof. by move=> ab cd; rewrite -subr_ge0 opprD addrACA addr_ge0 ?subr_ge0. Qed.

Lemma le_lt_add a b c d : a <= b -> c < d -> a + c < b + d.
Proof. by move=> ab cd; rewrite -subr_gt0 opprD addrACA add_ge0_gt0 ?subr_ge0 ?subr_gt0. Qed.

Lemma le_mul a b c d : 0 <= a -> 0 <= d -> a <= b -> c <= d -> a * c <= b * d.
Proof.
move=> a0 d0 ab cd; rewrite -subr_ge0 (_ : _ - _ = (b - a) * d + a * (d - c)); last by ring.
by rewrite addr_ge0 ?mulr_ge0 ?subr_ge0.
Qed.

Lemma lt_mul a b c : 0 < c -> a < b -> a * c < b * c.
Proof. by move=> c0 ab; rewrite -subr_gt0 -mulrBl mulr_gt0 ?subr_gt0. Qed.

Lemma norm_le a b : (`|a| <= b) = (- b <= a) && (a <= b).
Proof. exact: ler_norml. Qed.

Lemma norm_add a b d e : `|a| <= d -> `|b| <= e -> `|a + b| <= d + e.
Proof.
rewrite !norm_le opprD => /andP[a1 a2] /andP[b1 b2].
by rewrite !le_add.
Qed.

Lemma norm_mul a b d e : `|a| <= d -> `|b| <= e -> `|a * b| <= d * e.
Proof. by move=> ad be; rewrite normrM le_mul ?normr_ge0 // (le_trans _ be). Qed.

Lemma half_gt0 a : 0 < a -> 0 < a / 2%:R.
Proof. by move=> a0; rewrite divr_gt0 ?ltr0n. Qed.

Lemma half_lt a : 0 < a -> a / 2%:R < a.
Proof.
move=> a0; rewrite -subr_gt0 (_ : _ - _ = a / 2%:R) ?half_gt0 //.
by field.
Qed.

Lemma min_gt0 a b : 0 < a -> 0 < b -> 0 < Num.min a b.
Proof. by case: (leP a b). Qed.

Lemma min_le a b : Num.min a b <= a /\ Num.min a b <= b.
Proof. by case: (leP a b) => [|/ltW]. Qed.
End Order.
