(** What softmax conserves, and what an odd activation does to the label.

    Label of the book        theorem here
    lem-shift                shift_attention (any score with score (a + b) = score a * k b, as exp)
    prop-row-sums            row_sums, row_sums_conserved
    cor-conservation         diagonal_balances
    prop-flip                flip_network, flip_law, flip_losses; even_power_breaks_the_flip *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model derivative orbitals symmetry gradient frozen.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Theorem shift_attention (R : fieldType) (T : finType) (score k : R -> R) (A : T -> T -> R)
    (c : T -> R) :
  (forall a b, score (a + b) = score a * k b) -> (forall a, k a != 0) ->
  attention score (fun i j => A i j + c i) =2 attention score A.
Proof.
move=> mul k0 i j; rewrite /attention mul; under eq_bigr do rewrite mul.
by rewrite -mulr_suml -mulf_div divff // mulr1.
Qed.

Section Rows.
Variables (R : realFieldType) (T W P : finType) (score dscore act dact : R -> R).
Variables (phi dphi : bool -> R -> R) (prob : W -> R) (label : W -> bool) (X : W -> T -> P -> R).
Hypotheses (score_gt0 : forall a, 0 < score a) (score_d : forall a, is_deriv score a (dscore a)).
Hypotheses (act_d : forall a, is_deriv act a (dact a)).
Hypotheses (phi_d : forall y a, is_deriv (phi y) a (dphi y a)).
Variable k : R -> R.
Hypotheses (mul : forall a b, score (a + b) = score a * k b) (k_neq0 : forall a, k a != 0).

Let grad := loss_A score dscore act dact dphi prob label X.

(** The law is any finite one: a population, or a sample. *)
Theorem row_sums v A i : \sum_j grad v A i j = 0.
Proof.
pose B (a b : T) : R := (a == i)%:R.
have d1 := loss_derivative_A score_gt0 score_d act_d phi_d prob label X A B v.
have d2 : is_deriv (fun t => population_of score act phi prob label X v (fun i j => A i j + t * B i
  j)) 0 0.
  apply: eq_is_deriv (is_deriv_const (population_of score act phi prob label X v A) 0) => // t.
  apply: eq_bigr => o _; congr (_ * phi _ _); apply: eq_bigr => a _; congr (act (_ * _)).
  by apply: eq_bigr => b _; rewrite (shift_attention A (fun a => t * (a == i)%:R) mul k_neq0).
rewrite -[RHS](is_deriv_unique d1 d2) [RHS](bigD1 i) //= [X in _ + X]big1 => [|a na].
  by rewrite addr0; apply: eq_bigr => j _; rewrite /B eqxx mulr1.
by rewrite big1 // => b _; rewrite /B (negbTE na) mulr0.
Qed.

(** One step with the diagonal trained keeps every row sum. *)
Theorem row_sums_conserved v A (eta : R) i :
  \sum_j (A i j - eta * grad v A i j) = \sum_j A i j.
Proof. by rewrite sumrB -mulr_sumr row_sums mulr0 subr0. Qed.

(** With the diagonal fixed, the rest of the row moves against it. *)
Theorem fixed_diagonal v A i : \sum_(j | j != i) grad v A i j = - grad v A i i.
Proof.
have /eqP := row_sums v A i; rewrite (bigD1 i) //= addrC addr_eq0.
by move/eqP.
Qed.

Section Balance.
Variables (I : finType) (part : T -> I) (C : nat).
Hypothesis eqC : equal part C.

Lemma balance v A (s g r : R) (i : T) : grad v A =2 levels part s g r ->
  (C.-1)%:R * g + (#|T| - C)%:R * r = - s.
Proof.
move=> form; have := fixed_diagonal v A i; rewrite form /levels eqxx => <-.
apply/esym; rewrite (bigID (fun j => part i == part j)) /=.
rewrite (eq_bigr (fun=> g)) => [|j /andP[nj /eqP e]]; last first.
  by rewrite form /levels eq_sym (negbTE nj) e eqxx.
rewrite [X in _ + X](eq_bigr (fun=> r)) => [|j /andP[nj ne]]; last first.
  by rewrite form /levels eq_sym (negbTE nj) (negbTE ne).
rewrite !sumr_const !mulr_natl; congr (_ *+ _ + _ *+ _).
  rewrite -(eqC (part i)) (cardsD1 i) in_block eqxx /=; apply: eq_card => j.
  by rewrite unfold_in !inE eq_sym [part i == _]eq_sym.
rewrite -(eqC (part i)) -(cardC (mem (block part (part i)))) addKn; apply: eq_card => j.
rewrite !unfold_in /= in_block eq_sym [part j == _]eq_sym; case: (i =P j) => [->|//].
by rewrite eqxx.
Qed.
End Balance.
End Rows.

(** cor-conservation: the population of Assumption 1 at a state of three coefficients. *)
Section Population.
Variables (R : realFieldType) (T I N P : finType) (part : T -> I) (C : nat).
Hypotheses (eqC : equal part C) (C_gt0 : (0 < C)%N).
Variables (q : R) (mu : N -> R) (w : P -> R) (xi : N -> P -> R).
Variables (score dscore act dact : R -> R) (phi dphi : bool -> R -> R).
Hypotheses (score_gt0 : forall a, 0 < score a) (score_d : forall a, is_deriv score a (dscore a)).
Hypotheses (act_d : forall a, is_deriv act a (dact a)).
Hypotheses (phi_d : forall y a, is_deriv (phi y) a (dphi y a)).
Variable k : R -> R.
Hypotheses (mul : forall a b, score (a + b) = score a * k b) (k_neq0 : forall a, k a != 0).
Variables (v : P -> R) (s g r : R).

Let G := loss_A score dscore act dact dphi (prob part q mu) (@label T I N) (patch w xi) v
  (levels part s g r).

Theorem diagonal_balances i j l : i != j -> part i = part j -> part i != part l ->
  (C.-1)%:R * G i j + (#|T| - C)%:R * G i l = - G i i.
Proof.
move=> nij eqp np; have every_set m : exists i, part i = m by apply: block_has eqC C_gt0.
have inv h : h \in wreath part -> forall a b, G (h a) (h b) = G a b.
  move=> hG a b; have [m sym] := law_symmetric q mu w xi every_set hG.
  rewrite -[RHS](loss_gradient_equivariant score_gt0 score_d act_d phi_d _ (sym v)).
  apply: eq_loss_A => // c d; rewrite /moved /levels (inj_eq perm_inj).
  by rewrite (wreathP _ _ (groupVr hG)).
have form := invariant_levels eqC 0 0 0 inv.
have := balance score_gt0 score_d act_d phi_d mul k_neq0 eqC i form.
have nil : i != l by apply: contraNneq np => ->.
by rewrite -/G !form /levels eqxx (negbTE nij) (negbTE nil) eqp eqxx -eqp (negbTE np).
Qed.
End Population.

(** prop-flip; flip turns the sign of a feature. *)
Section Flip.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (q : R).
Variables (score act : R -> R) (A : T -> T -> R) (alpha : R).

Definition turn (x : {ffun T -> feature}) : {ffun T -> feature} := [ffun j => flip (x j)].
Definition F (x : {ffun T -> feature}) := network score act A (fun j => alpha * (value (x j))%:~R).

Lemma turnK : involutive turn.
Proof. by move=> x; apply/ffunP=> j; rewrite !ffunE flipK. Qed.

Lemma seen_flip (x y : T -> R) i : (forall j, y j = - x j) -> seen score A y i = - seen score A x i.
Proof.
by move=> e; rewrite /seen -mulrN -sumrN; congr (_ * _); apply: eq_bigr => j _; rewrite e mulrN.
Qed.

Theorem flip_network (x y : T -> R) : (forall a, act (- a) = - act a) -> (forall j, y j = - x j) ->
  network score act A y = - network score act A x.
Proof.
move=> act_odd e; rewrite /network -sumrN; apply: eq_bigr => i _.
by rewrite (seen_flip i e) act_odd.
Qed.

Theorem flip_law y l x : mass part q (~~ y) l (turn x) = mass part q y l x.
Proof.
congr (_ * _); apply: eq_bigr => j _; rewrite ffunE; case: ifP => _.
  by case: (x j) y => [[]|] [].
by case: (x j) => [[]|].
Qed.

Lemma turn_feature x j : alpha * (value (turn x j))%:~R = - (alpha * (value (x j))%:~R).
Proof. by rewrite ffunE value_flip rmorphN mulrN. Qed.

(** yF has one law under both labels, whatever function f measures it. *)
Theorem flip_losses (f : R -> R) : (forall a, act (- a) = - act a) ->
  \sum_l \sum_(x : {ffun T -> feature}) mass part q true l x * f (F x) =
  \sum_l \sum_(x : {ffun T -> feature}) mass part q false l x * f (- F x).
Proof.
move=> act_odd; apply: eq_bigr => l _; rewrite [RHS](reindex_inj (inv_inj turnK)).
apply: eq_bigr => x _; rewrite (flip_law true); congr (_ * f _).
by rewrite /F (flip_network act_odd (turn_feature x)) opprK.
Qed.

(** With the square for the odd power the two laws differ, at every size, score and attention. *)
Theorem even_power_breaks_the_flip l : (forall a, 0 < score a) -> 0 < q -> q <= 1 -> alpha != 0 ->
  (0 < #|T|)%N -> act =1 (fun a => a ^+ 2) ->
  \sum_(x : {ffun T -> feature}) mass part q false l x * - F x < 0 <
  \sum_(x : {ffun T -> feature}) mass part q true l x * F x.
Proof.
move=> score_gt0 q_gt0 q_le1 alpha0 T_gt0 act2.
have F_ge0 x : 0 <= F x by rewrite sumr_ge0 // => i _; rewrite act2 sqr_ge0.
have I_gt0 : (0 < #|I|)%N by apply/card_gt0P; exists l.
have weight_gt0 : 0 < 2%:R^-1 * #|I|%:R^-1 :> R by rewrite mulr_gt0 // invr_gt0 ltr0n.
have spurious_ge0 a : 0 <= spurious q a.
  by case: a => [b|]; rewrite /spurious ?subr_ge0 // ltW // half_gt0.
have mass_ge0 y x : 0 <= mass part q y l x.
  rewrite mulr_ge0 ?(ltW weight_gt0) // prodr_ge0 // => j _.
  by case: ifP => _; rewrite ?ler0n.
have positive y : 0 < \sum_(x : {ffun T -> feature}) mass part q y l x * F x.
  pose ones : {ffun T -> feature} := [ffun=> Some y].
  rewrite (bigD1 ones) //= addrC add_ge0_gt0 ?sumr_ge0 // => [x _|]; first by rewrite mulr_ge0.
  have unit_sum i : \sum_j attention score A i j = 1.
    have Z_gt0 : 0 < \sum_k score (A i k).
      by rewrite (bigD1 i) //= addrC add_ge0_gt0 // sumr_ge0 // => j _; rewrite ltW.
    by rewrite -mulr_suml divff // gt_eqF.
  rewrite mulr_gt0 //.
    rewrite mulr_gt0 // prodr_gt0 // => j _; rewrite ffunE eqxx.
    by case: ifP => _; rewrite ?ltr01 // half_gt0.
  have [i _] := card_gt0P T_gt0; rewrite /F /network (bigD1 i) //= addrC add_ge0_gt0 //.
    by rewrite sumr_ge0 // => j _; rewrite act2 sqr_ge0.
  rewrite act2 lt_neqAle sqr_ge0 andbT eq_sym expf_eq0 /= /seen.
  under eq_bigr do rewrite ffunE; rewrite -mulr_suml unit_sum mul1r.
  by rewrite !mulf_neq0 // ?pnatr_eq0 -?lt0n // valueE; case: (y); rewrite ?oppr_eq0 oner_eq0.
rewrite positive andbT; under eq_bigr do rewrite mulrN.
by rewrite sumrN oppr_lt0.
Qed.
End Flip.
