(** The reduced model: F and its derivatives as sums over sets, for all sizes and activations.

    Label of the book        theorem here
    prop-reduced, eq-levels  levels_sum_to_one
    prop-reduced, eq-reduced reduced_seen, reduced_network
    set_derivatives (code)   reduced_alpha, reduced_gamma, reduced_rho
    prop-reduced, eq-pairs   gamma_derivative, rho_derivative, alpha_derivative

    Lambda, Gamma, Xi are the three entries of a row of the attention matrix, Z their denominator.
    count k a is the number of patches of set k with feature a: its type.  The derivatives are those
    of derivative.v; dscore / Z is Gamma / tau or Xi / tau for the score exp(./tau). *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model derivative orbitals symmetry gradient frozen.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Reduced.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat).
Hypothesis eqC : equal part C.
Variables (score dscore act dact : R -> R) (s g r : R).
Hypothesis score_gt0 : forall a, 0 < score a.

Let D : R := #|T|%:R.
Let A := levels part s g r.
Definition Z : R := score s + (C%:R - 1) * score g + (D - C%:R) * score r.
Definition Lambda := score s / Z.
Definition Gamma := score g / Z.
Definition Xi := score r / Z.

Definition set_sum (f : T -> R) k := \sum_(j | part j == k) f j.

Lemma own_sum (f : T -> R) i : \sum_(j | i == j) f j = f i.
Proof. by rewrite (eq_bigl (pred1 i)) ?big_pred1_eq // => j; rewrite /= eq_sym. Qed.

Lemma in_set_sum (f : T -> R) i :
  \sum_(j | (i != j) && (part i == part j)) f j = set_sum f (part i) - f i.
Proof.
rewrite /set_sum [X in X - _](bigD1 i) //= addrC addKr.
by apply: eq_bigl => j; rewrite andbC eq_sym [i == j]eq_sym.
Qed.

Lemma cross_sum (f : T -> R) i :
  \sum_(j | part i != part j) f j = \sum_j f j - set_sum f (part i).
Proof.
rewrite /set_sum [X in X - _](bigID (fun j => part j == part i)) /= addrC addKr.
by apply: eq_bigl => j; rewrite eq_sym.
Qed.

Lemma row_sum (f : T -> R) (u : R -> R) i :
  \sum_j u (A i j) * f j = u s * f i + u g * (set_sum f (part i) - f i)
                           + u r * (\sum_j f j - set_sum f (part i)).
Proof.
rewrite -in_set_sum -cross_sum -(own_sum f) (bigID (fun j => part i == part j)) /=; congr (_ + _).
  rewrite (bigID (fun j => i == j)) /=; congr (_ + _); rewrite mulr_sumr.
    apply: eq_big => [j|j /andP[_ /eqP ->]]; last by rewrite /A /levels eqxx.
    by case: (i =P j) => [->|_]; rewrite ?eqxx ?andbF.
  apply: eq_big => [j|j /andP[/eqP e nij]]; first by rewrite andbC.
  by rewrite /A /levels (negbTE nij) e eqxx.
rewrite mulr_sumr; apply: eq_bigr => j np; rewrite /A /levels (negbTE np) ifN //.
by apply: contraNneq np => ->.
Qed.

Lemma ones_in_set k : set_sum (fun=> 1) k = C%:R.
Proof. by rewrite /set_sum sumr_const -(eqC k); congr (_ *+ _); apply: eq_card => j;
  rewrite in_block. Qed.

Lemma totalE i : total score A i = Z.
Proof.
have := row_sum (fun=> 1) score i; rewrite ones_in_set sumr_const => e.
rewrite /total (eq_bigr (fun j => score (A i j) * 1)) => [|j _]; last by rewrite mulr1.
by rewrite e mulr1 /Z [_ * (C%:R - 1)]mulrC [_ * (_ - C%:R)]mulrC.
Qed.

Definition seen_by_set (x : T -> R) (a t : R) k :=
  Lambda * a + Gamma * (set_sum x k - a) + Xi * (t - set_sum x k).

Lemma mean_levels x i : mean score A x i = seen_by_set x (x i) (\sum_j x j) (part i).
Proof.
rewrite meanE totalE (row_sum x) /seen_by_set /Lambda /Gamma /Xi.
by move: (Z^-1) (set_sum _ _) (\sum_j _) => z k t; ring.
Qed.

(** eq-reduced; x_j = alpha delta_j. *)
Theorem reduced_seen x i :
  seen score A x i = D * seen_by_set x (x i) (\sum_j x j) (part i).
Proof. by rewrite -mean_levels. Qed.

Theorem levels_sum_to_one : (0 < #|T|)%N ->
  Lambda + (C%:R - 1) * Gamma + (D - C%:R) * Xi = 1.
Proof.
move=> /card_gt0P[i _]; have Z0 : Z != 0 by rewrite -(totalE i) total_neq0.
rewrite /Lambda /Gamma /Xi !mulrA -!mulrDl.
by rewrite -/Z divff.
Qed.

(** Features, types, and sums over sets. *)
Section Types.
Variables (delta : T -> feature) (alpha : R).

Definition count k a := #|[set i | (part i == k) && (delta i == a)]|.
Definition type_sum k : R := (count k (Some true))%:R - (count k (Some false))%:R.
Let feature_at j : R := (value (delta j))%:~R.
Let x j := alpha * feature_at j.
Let tot : R := \sum_j feature_at j.

Definition over_types (h : feature -> I -> R) :=
  \sum_k ((count k (Some true))%:R * h (Some true) k + (count k (Some false))%:R * h (Some false) k
          + (count k None)%:R * h None k).

Lemma by_types (h : feature -> I -> R) : \sum_i h (delta i) (part i) = over_types h.
Proof.
rewrite (partition_big part predT) //=; apply: eq_bigr => k _.
rewrite (partition_big delta predT) //= sum_features.
suff each a : \sum_(i | (part i == k) && (delta i == a)) h (delta i) (part i) =
    (count k a)%:R * h a k by rewrite !each -addrA addrC.
rewrite (eq_bigr (fun=> h a k)) => [|i /andP[/eqP-> /eqP->] //].
by rewrite sumr_const mulr_natl; congr (_ *+ _); apply: eq_card => i; rewrite !inE.
Qed.

Lemma set_sum_types k : set_sum feature_at k = type_sum k.
Proof.
rewrite /set_sum (partition_big delta predT) //= sum_features.
have each a : \sum_(i | (part i == k) && (delta i == a)) feature_at i =
    (count k a)%:R * (value a)%:~R.
  rewrite (eq_bigr (fun=> (value a)%:~R)) => [|i /andP[_ /eqP ea]]; last by rewrite /feature_at ea.
  by rewrite sumr_const mulr_natl; congr (_ *+ _); apply: eq_card => i; rewrite !inE.
by rewrite !each !valueE mulr0 add0r mulr1 mulrN1.
Qed.

Lemma set_sum_x k : set_sum x k = alpha * type_sum k.
Proof. by rewrite -set_sum_types /set_sum mulr_sumr. Qed.

(** O of a patch with feature a in set k: eq-reduced as it stands in the book. *)
Definition value_of (a : feature) : R := (value a)%:~R.
Definition inner a k :=
  Lambda * value_of a + Gamma * (type_sum k - value_of a) + Xi * (tot - type_sum k).
Definition O a k := alpha * D * inner a k.

Lemma mean_features i : mean score A feature_at i = inner (delta i) (part i).
Proof. by rewrite mean_levels /seen_by_set set_sum_types. Qed.

Lemma mean_types i : mean score A x i = alpha * inner (delta i) (part i).
Proof. by rewrite -mean_features mulr_sumr; apply: eq_bigr => j _; rewrite mulrCA. Qed.

Lemma seen_types i : seen score A x i = O (delta i) (part i).
Proof. by rewrite /seen -/(mean score A x i) mean_types /O -/D mulrCA mulrA. Qed.

Theorem reduced_network :
  network score act A x = over_types (fun a k => act (O a k)).
Proof. by rewrite -by_types; apply: eq_bigr => i _; rewrite seen_types. Qed.

Theorem reduced_alpha :
  \sum_j slope_x score dact A x j * feature_at j =
  over_types (fun a k => dact (O a k) * (D * inner a k)).
Proof.
rewrite -by_types (eq_bigr _ (fun j _ => mulr_suml _ _ _ _)) exchange_big /=.
apply: eq_bigr => i _; rewrite -seen_types.
rewrite (eq_bigr (fun j => dact (seen score A x i) * D * (attention score A i j * feature_at j)));
  last by move=> j _; rewrite -/D; ring.
by rewrite -mulr_sumr -/(mean score A feature_at i) mean_features mulrA.
Qed.

(** The sum over the pairs that hold one coefficient. *)
Theorem reduced_gamma :
  \sum_i \sum_(j | (i != j) && (part i == part j)) slope_A score dscore dact A x i j =
  over_types (fun a k => dact (O a k) * (alpha * D * (dscore g / Z *
    (type_sum k - value_of a - (C%:R - 1) * inner a k)))).
Proof.
rewrite -by_types; apply: eq_bigr => i _; rewrite -seen_types.
rewrite (eq_bigr (fun j => dact (seen score A x i) * (D * (dscore g / Z)) *
    (x j - mean score A x i * 1))) => [|j /andP[nij ep]]; last first.
  by rewrite /slope_A totalE /A /levels (negbTE nij) ep mulr1 -!mulrA.
rewrite -mulr_sumr sumrB -[X in _ - X]mulr_sumr !in_set_sum ones_in_set set_sum_x mean_types.
by rewrite /x -/(value_of (delta i)) -!mulrA; congr (_ * _); ring.
Qed.

Theorem reduced_rho :
  \sum_i \sum_(j | part i != part j) slope_A score dscore dact A x i j =
  over_types (fun a k => dact (O a k) * (alpha * D * (dscore r / Z *
    (tot - type_sum k - (D - C%:R) * inner a k)))).
Proof.
rewrite -by_types; apply: eq_bigr => i _; rewrite -seen_types.
rewrite (eq_bigr (fun j => dact (seen score A x i) * (D * (dscore r / Z)) *
    (x j - mean score A x i * 1))) => [|j np]; last first.
  rewrite /slope_A totalE /A /levels (negbTE np) ifN ?mulr1 -?mulrA //.
  by apply: contraNneq np => ->.
rewrite -mulr_sumr sumrB -[X in _ - X]mulr_sumr !cross_sum ones_in_set set_sum_x mean_types.
rewrite sumr_const -mulr_sumr -/tot -!mulrA; congr (_ * _).
by rewrite -/D; ring.
Qed.

(** The sums over pairs are the derivatives in the three coefficients. *)
Hypotheses (score_d : forall a, is_deriv score a (dscore a)).
Hypotheses (act_d : forall a, is_deriv act a (dact a)).

Definition in_set i j : R := ((i != j) && (part i == part j))%:R.
Definition cross i j : R := (part i != part j)%:R.

Lemma sum_mask (G : T -> T -> R) (Q : T -> T -> bool) :
  \sum_i \sum_j G i j * (Q i j)%:R = \sum_i \sum_(j | Q i j) G i j.
Proof.
apply: eq_bigr => i _; rewrite [RHS]big_mkcond; apply: eq_bigr => j _.
by case: (Q i j); rewrite ?mulr1 ?mulr0.
Qed.

Lemma levels_gamma t : levels part s (g + t) r =2 (fun i j => A i j + t * in_set i j).
Proof.
move=> i j; rewrite /A /levels /in_set; case: eqP => _; rewrite /= ?mulr0 ?addr0 //.
by case: eqP => _; rewrite ?mulr1 ?mulr0 ?addr0.
Qed.

Lemma levels_rho t : levels part s g (r + t) =2 (fun i j => A i j + t * cross i j).
Proof.
move=> i j; rewrite /A /levels /cross; case: (i =P j) => [->|_]; first by rewrite eqxx mulr0 addr0.
by case: eqP => _; rewrite ?mulr1 ?mulr0 ?addr0.
Qed.

Lemma still (G : T -> R) : \sum_j G j * 0 = 0.
Proof. by rewrite big1 // => j _; rewrite mulr0. Qed.

Theorem gamma_derivative :
  is_deriv (fun t => network score act (levels part s (g + t) r) x) 0
    (\sum_i \sum_(j | (i != j) && (part i == part j)) slope_A score dscore dact A x i j).
Proof.
apply: eq_is_deriv (network_derivative score_gt0 score_d act_d A in_set x (fun=> 0)) => [t|].
  by apply: eq_network => [i j|j]; rewrite ?levels_gamma // mulr0 addr0.
by rewrite still addr0 sum_mask.
Qed.

Theorem rho_derivative :
  is_deriv (fun t => network score act (levels part s g (r + t)) x) 0
    (\sum_i \sum_(j | part i != part j) slope_A score dscore dact A x i j).
Proof.
apply: eq_is_deriv (network_derivative score_gt0 score_d act_d A cross x (fun=> 0)) => [t|].
  by apply: eq_network => [i j|j]; rewrite ?levels_rho // mulr0 addr0.
by rewrite still addr0 sum_mask.
Qed.

Theorem alpha_derivative :
  is_deriv (fun t => network score act A (fun j => (alpha + t) * feature_at j)) 0
    (\sum_j slope_x score dact A x j * feature_at j).
Proof.
apply: eq_is_deriv (network_derivative score_gt0 score_d act_d A (fun _ _ => 0) x feature_at) =>
  [t|].
  by apply: eq_network => [i j|j]; rewrite ?mulr0 ?addr0 // mulrDl.
by rewrite [X in X + _]big1 ?add0r // => i _; rewrite still.
Qed.
End Types.

(** eq-pairs for a gradient G that is constant on the orbitals, as symmetry.v and gradient.v prove
    for the population: the pairs that hold a coefficient are D (C - 1) and D (D - C). *)
Theorem pairs_of_a_coefficient (a b c : R) :
  \sum_i \sum_(j | (i != j) && (part i == part j)) levels part a b c i j = D * ((C%:R - 1) * b) /\
  \sum_i \sum_(j | part i != part j) levels part a b c i j = D * ((D - C%:R) * c).
Proof.
have times (k : R) : \sum_(i : T) k = D * k by rewrite sumr_const -[LHS]mulr_natl.
split; rewrite -times; apply: eq_bigr => i _.
  rewrite (eq_bigr (fun=> 1 * b)) => [|j /andP[nij ep]];
    last by rewrite /levels (negbTE nij) ep mul1r.
  by rewrite -mulr_suml in_set_sum ones_in_set.
rewrite (eq_bigr (fun=> 1 * c)) => [|j np]; last first.
  by rewrite /levels (negbTE np) mul1r ifN //; apply: contraNneq np => ->.
by rewrite -mulr_suml cross_sum ones_in_set times mulr1.
Qed.
End Reduced.
