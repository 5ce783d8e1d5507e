(** Patch association: what it is, what certifies it, how much it bears.

    Label of the book        theorem here
    def-top-c, def-association   top, associated (the definitions)
    prop-margin, 1           margin_positive (and associated_iff_margin)
    prop-margin, 2           associated_stable, stability_is_sharp
    prop-margin, 3           margin_levels, margin_levels_single, associated_levels

    is_margin A m says that m is the least of A_ij - A_ik over i, j in S(i), k not in S(i). *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Association.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat).
Hypothesis eqC : equal part C.
Implicit Types (A : T -> T -> R) (K : {set T}).

(** A top-C set of a row, and the definition of association. *)
Definition top (a : T -> R) K := #|K| = C /\ forall j k, j \in K -> k \notin K -> a k <= a j.
Definition only_top (a : T -> R) K := top a K /\ forall K', top a K' -> K' = K.
Definition associated A := forall i, only_top (A i) (block part (part i)).

Definition inside i j k := (part j == part i) && (part k != part i).
Definition is_margin A m :=
  (forall i j k, inside i j k -> m <= A i j - A i k) /\
  exists i j k, inside i j k /\ m = A i j - A i k.

Lemma only_topP (a : T -> R) K : #|K| = C ->
  only_top a K <-> forall j k, j \in K -> k \notin K -> a k < a j.
Proof.
move=> cardK; split=> [[[_ le_top] unique] j k jK kK | lt_top].
  rewrite lt_neqAle le_top // andbT; apply: contraNneq (kK) => eqa.
  rewrite -(unique (k |: (K :\ j))) ?in_setU1 ?eqxx //; split=> [|j' k'].
    by rewrite cardsU1 !inE (negbTE kK) andbF -cardK (cardsD1 j K) jK.
  rewrite !inE negb_or negb_and negbK => j'in /andP[_ k'out]; apply: (@le_trans _ _ (a j)).
    by case/orP: k'out => [/eqP->|/(le_top j)->].
  by case/orP: j'in => [/eqP->|/andP[_ j'K]]; rewrite -eqa // le_top.
split=> [|K' [cardK' le_top']]; first by split=> // j k jK kK; apply/ltW/lt_top.
apply/eqP; rewrite eqEcard cardK cardK' leqnn andbT; apply/subsetP=> k kK'.
apply/idPn=> kK; have /subsetPn[j jK jK'] : ~~ (K \subset K').
  apply: contraNN kK => sub; suff -> : K = K' by [].
  by apply/eqP; rewrite eqEcard sub cardK cardK' /=.
by have := lt_top _ _ jK kK; rewrite ltNge le_top'.
Qed.

Theorem associated_iff_margin A :
  associated A <-> forall i j k, inside i j k -> A i k < A i j.
Proof.
split=> [assoc i j k /andP[ji ki] | lt_top i].
  by move/(only_topP _ (eqC _)): (assoc i); apply; rewrite in_block.
by apply/(only_topP _ (eqC _)) => j k; rewrite !in_block => ji ki; apply: lt_top;
  rewrite /inside ji.
Qed.

Theorem margin_positive A m : is_margin A m -> associated A <-> 0 < m.
Proof.
case=> least [i [j [k [ijk em]]]]; rewrite associated_iff_margin.
split=> [lt_top|m_gt0 a b c /least m_le]; first by rewrite em subr_gt0 lt_top.
by rewrite -subr_gt0 (lt_le_trans m_gt0).
Qed.

Theorem associated_stable A E m eps : is_margin A m ->
  (forall i j, `|E i j| <= eps) -> eps + eps < m -> associated (fun i j => A i j + E i j).
Proof.
move=> [least _] small lt_m; apply/associated_iff_margin => i j k /least m_le.
have [_ up] := andP (etrans (esym (ler_norml _ _)) (small i k)).
have [low _] := andP (etrans (esym (ler_norml _ _)) (small i j)).
rewrite -subr_gt0 (_ : _ - _ = ((A i j - A i k - m) + (E i j + eps) + (eps - E i k)) + (m - (eps +
  eps))).
  apply: add_ge0_gt0; last by rewrite subr_gt0.
  apply: addr_ge0; last by rewrite subr_ge0.
  by apply: addr_ge0; [rewrite subr_ge0 | rewrite -[X in _ + X]opprK subr_ge0].
by ring.
Qed.

(** The constant 1/2 is the largest possible. *)
Theorem stability_is_sharp A m : is_margin A m -> 0 < m ->
  exists E, (forall i j, `|E i j| <= m / 2%:R) /\ ~ associated (fun i j => A i j + E i j).
Proof.
case=> _ [i [j [k [ijk em]]]] m_gt0.
pose E a b := if a == i then (if b == j then - (m / 2%:R) else if b == k then m / 2%:R else 0) else
  0.
have half_ge0 : 0 <= m / 2%:R by rewrite divr_ge0 ?ler0n // ltW.
exists E; split=> [a b|/associated_iff_margin/(_ i j k ijk)].
  by rewrite /E; do ![case: ifP => _]; rewrite ?normrN ?normr0 ?ger0_norm.
have njk : k != j by apply: contraTneq ijk => ->; rewrite /inside andbN.
rewrite /E !eqxx (negbTE njk) -subr_gt0.
rewrite (_ : _ - _ = (A i j - A i k) - m) ?em ?subrr ?ltxx //.
by field.
Qed.

(** On the subspace of three coefficients. *)
Section Levels.
Variables (s g r : R).
Hypotheses (C_gt0 : (0 < C)%N) (L_gt1 : (1 < #|I|)%N).

Lemma other_set i : exists k, part k != part i.
Proof.
have /card_gt1P[a [b [_ _ nab]]] := L_gt1.
have [[x xa] [y yb]] := (block_has a eqC C_gt0, block_has b eqC C_gt0).
have [e|] := eqVneq (part x) (part i); last by exists x.
by exists y; rewrite -e xa yb eq_sym.
Qed.

Lemma two_in_a_set i : (1 < C)%N -> exists2 j, j != i & part j = part i.
Proof.
rewrite -(eqC (part i)) => /card_gt1P[x [y []]]; rewrite !in_block => /eqP ex /eqP ey nxy.
by have [exi|nxi] := eqVneq x i; [exists y; rewrite // -exi eq_sym | exists x].
Qed.

Lemma levels_same i j : part j = part i -> levels part s g r i j = if i == j then s else g.
Proof. by move=> e; rewrite /levels e eqxx. Qed.

Lemma levels_other i k : part k != part i -> levels part s g r i k = r.
Proof.
move=> nk; rewrite /levels (eq_sym (part i)) (negbTE nk) ifN //.
by apply: contraNneq nk => ->.
Qed.

Theorem margin_levels : (0 < #|T|)%N -> (1 < C)%N ->
  is_margin (levels part s g r) (Num.min s g - r).
Proof.
move=> /card_gt0P[i _] C_gt1; split=> [a b c /andP[/eqP eb nc]|].
  have drop_r x y : (x - r <= y - r) = (x <= y) by rewrite -subr_ge0 opprB addrA subrK subr_ge0.
  by rewrite levels_same // levels_other // drop_r; case: ifP; case: (leP s g) => // /ltW.
have [k nk] := other_set i; have [j nji ej] := two_in_a_set i C_gt1.
have [s_le|/ltW g_le] := leP s g.
  by exists i, i, k; rewrite /inside eqxx nk levels_same // levels_other // eqxx.
by exists i, j, k; rewrite /inside ej eqxx nk levels_same // levels_other // eq_sym (negbTE nji).
Qed.

Theorem margin_levels_single : (0 < #|T|)%N -> C = 1%N -> is_margin (levels part s g r) (s - r).
Proof.
move=> /card_gt0P[i _] C1; have alone a b : part b = part a -> a = b.
  move=> e; have /eqP := eqC (part a); rewrite C1 => /cards1P[x eqx].
  have /setP/(_ a) := eqx; have /setP/(_ b) := eqx.
  by rewrite !inE e eqxx => /esym/eqP-> /esym/eqP->.
split=> [a b c /andP[/eqP/alone <- nc]|].
  by rewrite levels_same // levels_other // eqxx.
have [k nk] := other_set i.
by exists i, i, k; rewrite /inside eqxx nk levels_same // levels_other // eqxx.
Qed.

Theorem associated_levels : (0 < #|T|)%N -> (1 < C)%N ->
  associated (levels part s g r) <-> r < Num.min s g.
Proof.
by move=> T_gt0 C_gt1; rewrite (margin_positive (margin_levels T_gt0 C_gt1)) subr_gt0.
Qed.
End Levels.

End Association.
