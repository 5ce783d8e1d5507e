(** Derivatives over any ordered field, without axioms.

    is_deriv f x l says that f has the derivative l at x.  The form is Caratheodory's, that the
    difference quotient extends to a function continuous at 0; is_derivP is the usual epsilon and
    delta; is_deriv_unique: there is one derivative.  The rules are those of a first course.
    Over the real numbers these are the real derivatives: what is proved for every ordered field and
    every score with a derivative holds for the reals and exp. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Continuity.
Variable R : realFieldType.
Implicit Types (P Q : R -> Prop) (f g u : R -> R).

Definition near P := exists2 d, 0 < d & forall h : R, `|h| < d -> P h.
Definition continuous f := forall e, 0 < e -> near (fun h => `|f h - f 0| <= e).

Lemma nearI P Q : near P -> near Q -> near (fun h => P h /\ Q h).
Proof.
move=> [d d0 dP] [e e0 eQ]; exists (Num.min d e); first by case: (leP d e).
move=> h; case: (leP d e) => de hd; split; try exact: dP; try exact: eQ.
  by apply: eQ; apply: lt_le_trans de.
by apply: dP; apply: lt_trans de.
Qed.

Lemma near_le P Q : (forall h, P h -> Q h) -> near P -> near Q.
Proof. by move=> PQ [d d0 dP]; exists d => // h /dP/PQ. Qed.

Lemma eq_continuous f g : f =1 g -> continuous f -> continuous g.
Proof. by move=> e cf eps /cf; apply: near_le => h; rewrite !e. Qed.

Lemma continuous_const (a : R) : continuous (fun=> a).
Proof. by move=> e e0; exists 1 => // h _; rewrite subrr normr0 ltW. Qed.

Lemma continuous_id : continuous id.
Proof. by move=> e e0; exists e => // h /ltW; rewrite subr0. Qed.

Lemma continuous_add f g : continuous f -> continuous g -> continuous (fun h => f h + g h).
Proof.
move=> cf cg e e0; have e2 := half_gt0 e0.
apply: near_le (nearI (cf _ e2) (cg _ e2)) => h [df dg].
rewrite opprD addrACA (_ : e = e / 2%:R + e / 2%:R); first exact: norm_add.
by field.
Qed.

Lemma continuous_mul f g : continuous f -> continuous g -> continuous (fun h => f h * g h).
Proof.
move=> cf cg e e0; pose b := `|f 0| + `|g 0| + 1.
have b0 : 0 < b by rewrite add_ge0_gt0 ?ltr01 // addr_ge0 ?normr_ge0.
pose d := Num.min 1 (e / b); have d0 : 0 < d by rewrite min_gt0 ?ltr01 ?divr_gt0.
apply: near_le (nearI (cf _ d0) (cg _ d0)) => h [df dg].
rewrite (_ : _ - _ = f 0 * (g h - g 0) + (f h - f 0) * g 0 + (f h - f 0) * (g h - g 0));
  last by ring.
have [d1 d2] : d <= 1 /\ d <= e / b := min_le _ _.
have db : d * b <= e.
  have -> : e = e / b * b by rewrite divfK ?gt_eqF.
  by rewrite le_mul ?(ltW d0) ?(ltW b0).
apply: le_trans db; rewrite (_ : d * b = `|f 0| * d + d * `|g 0| + d * 1); last by rewrite /b; ring.
apply: norm_add; first by apply: norm_add; apply: norm_mul.
by apply: norm_mul => //; apply: le_trans dg d1.
Qed.

Lemma continuous_affine a f : continuous f -> continuous (fun h => a + f h * h).
Proof.
move=> cf; apply: continuous_add; first exact: continuous_const.
by apply: continuous_mul => //; apply: continuous_id.
Qed.

Lemma continuous_inv f : f 0 != 0 -> continuous f -> continuous (fun h => (f h)^-1).
Proof.
move=> f0 cf e e0; have n0 : 0 < `|f 0| by rewrite normr_gt0.
pose half := `|f 0| / 2%:R; have half0 : 0 < half := half_gt0 n0.
have d0 : 0 < e * (half * `|f 0|) by rewrite mulr_gt0 // mulr_gt0.
apply: near_le (nearI (cf _ half0) (cf _ d0)) => h [far close].
have fh : half <= `|f h|.
  rewrite -subr_ge0 (_ : _ - _ = `|f h| + half - `|f 0|); last by rewrite /half; field.
  have : `|f h + (f 0 - f h)| <= `|f h| + half by rewrite norm_add // distrC.
  by rewrite subr_ge0 addrC subrK.
have fh0 : 0 < `|f h| := lt_le_trans half0 fh.
rewrite leNgt; apply/negP => /(lt_mul (mulr_gt0 fh0 n0)).
rewrite -[X in _ < _ * X]normrM -[X in _ < X]normrM (_ : _ * (f h * f 0) = f 0 - f h); last first.
  by field; rewrite f0 -normr_gt0.
rewrite distrC ltNge (le_trans close) //.
by rewrite le_mul ?(ltW e0) // ?mulr_ge0 // le_mul ?(ltW half0) ?normr_ge0.
Qed.

(** f after a function that is continuous and vanishes at 0. *)
Lemma continuous_comp f u : u 0 = 0 -> continuous f -> continuous u -> continuous (f \o u).
Proof.
move=> u0 cf cu e /cf[d d0 df].
apply: near_le (cu _ (half_gt0 d0)) => h /=; rewrite u0 subr0 => small; apply: df.
exact: le_lt_trans small (half_lt d0).
Qed.
End Continuity.

Section Derivative.
Variable R : realFieldType.
Implicit Types (f g : R -> R) (x a l m : R).

Definition is_deriv f x l :=
  exists2 slope, (forall h, f (x + h) = f x + slope h * h) /\ slope 0 = l & continuous slope.

Theorem is_derivP f x l : is_deriv f x l <->
  forall e, 0 < e -> near (fun h => `|f (x + h) - f x - l * h| <= e * `|h|).
Proof.
split=> [[s [eqf <-] cs] e /cs | small].
  apply: near_le => h close; rewrite eqf (_ : _ - _ = (s h - s 0) * h) ?norm_mul //.
  by ring.
exists (fun h => if h == 0 then l else (f (x + h) - f x) / h).
  split=> [h|]; last by rewrite eqxx.
  have [->|h0] := eqVneq h 0; first by rewrite mulr0 !addr0.
  by rewrite divfK // [RHS]addrC subrK.
move=> e e0; apply: near_le (small _ e0) => h; rewrite eqxx.
have [_ _|h0] := eqVneq h 0; first by rewrite subrr normr0 ltW.
have h_gt0 : 0 < `|h| by rewrite normr_gt0.
move=> close; rewrite leNgt; apply/negP => /(lt_mul h_gt0).
rewrite -normrM (_ : (_ - l) * h = f (x + h) - f x - l * h); last by field.
by rewrite ltNge close.
Qed.

Theorem is_deriv_unique f x l m : is_deriv f x l -> is_deriv f x m -> l = m.
Proof.
case=> [s [eqs <-] cs] [t [eqt <-] ct]; apply/eqP; rewrite -subr_eq0; apply/negPn/negP => nz.
pose u h := s h - t h.
have cu : continuous u.
  by apply: continuous_add => // e /ct; apply: near_le => h; rewrite -opprD normrN.
have zero h : h != 0 -> u h = 0.
  move=> h0; apply/eqP; rewrite subr_eq0; apply/eqP/(mulIf h0)/(@addrI _ (f x)).
  by rewrite -eqs -eqt.
have n0 : 0 < `|u 0| by rewrite normr_gt0.
have [d d0 small] := cu _ (half_gt0 n0).
have : `|d / 2%:R| < d by rewrite gtr0_norm ?half_gt0 ?half_lt.
move/small; rewrite zero ?gt_eqF ?half_gt0 // sub0r normrN.
by rewrite leNgt half_lt.
Qed.

Lemma eq_is_deriv f g x l m : f =1 g -> l = m -> is_deriv f x l -> is_deriv g x m.
Proof. by move=> e <- [s [eqs s0] cs]; exists s => //; split=> // h; rewrite -!e. Qed.

Lemma is_deriv_const a x : is_deriv (fun=> a) x 0.
Proof.
by exists (fun=> 0); [split=> // h; rewrite mul0r addr0 | apply: continuous_const].
Qed.

(** The line through a with direction b, at time 0. *)
Lemma is_deriv_line a b : is_deriv (fun t => a + t * b) 0 b.
Proof.
exists (fun=> b); last exact: continuous_const.
by split=> // h; rewrite add0r mul0r addr0 [b * h]mulrC.
Qed.

Lemma is_deriv_add f g x l m : is_deriv f x l -> is_deriv g x m ->
  is_deriv (fun t => f t + g t) x (l + m).
Proof.
move=> [s [eqs <-] cs] [t [eqt <-] ct]; exists (fun h => s h + t h); last exact: continuous_add.
by split=> // h; rewrite eqs eqt; ring.
Qed.

Lemma is_deriv_mul f g x l m : is_deriv f x l -> is_deriv g x m ->
  is_deriv (fun t => f t * g t) x (l * g x + f x * m).
Proof.
move=> [s [eqs <-] cs] [t [eqt <-] ct].
exists (fun h => s h * g x + (f x + s h * h) * t h).
  by split=> [h|]; rewrite ?eqs ?eqt ?mulr0 ?addr0 //; ring.
apply: continuous_add; first by apply: continuous_mul => //; apply: continuous_const.
by apply: continuous_mul => //; apply: continuous_affine.
Qed.

Lemma is_deriv_sum (J : finType) (f : J -> R -> R) x (l : J -> R) :
  (forall j, is_deriv (f j) x (l j)) -> is_deriv (fun t => \sum_j f j t) x (\sum_j l j).
Proof.
move=> df; elim: (index_enum J) => [|j s IH].
  by apply: eq_is_deriv (is_deriv_const 0 x) => [t|]; rewrite big_nil.
by apply: eq_is_deriv (is_deriv_add (df j) IH) => [t|]; rewrite big_cons.
Qed.

Lemma is_deriv_comp f g x l m : is_deriv f x l -> is_deriv g (f x) m ->
  is_deriv (g \o f) x (m * l).
Proof.
move=> [s [eqs <-] cs] [t [eqt <-] ct].
have cu : continuous (fun h => s h * h).
  by apply: eq_continuous (continuous_affine 0 cs) => h; rewrite add0r.
exists (fun h => t (s h * h) * s h); last first.
  by apply: continuous_mul => //; apply: (@continuous_comp _ t) => //; rewrite mulr0.
by split=> [h|]; rewrite ?mulr0 //= eqs eqt mulrA.
Qed.

Lemma is_deriv_inv f x l : (forall t, f t != 0) -> is_deriv f x l ->
  is_deriv (fun t => (f t)^-1) x (- l / f x ^+ 2).
Proof.
move=> f0 [s [eqs <-] cs].
exists (fun h => - s h * (f x * (f x + s h * h))^-1).
  by split=> [h|]; rewrite ?mulr0 ?addr0 -?eqs ?expr2 //; field: (eqs h); rewrite !f0.
apply: continuous_mul; first by move=> e /cs; apply: near_le => h; rewrite -opprD normrN.
apply: continuous_inv; first by rewrite mulr0 addr0 mulf_neq0.
apply: continuous_mul; [exact: continuous_const | exact: continuous_affine].
Qed.
End Derivative.
