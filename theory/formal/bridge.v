(** The definitions of the other files as programs, so that their values can be compared with the
    numbers of the Python code.

    Patches are the numbers below D and sets the numbers below L; a number is an element of any type
    with the six operations of ops.  Each program is proved to compute the definition it stands for:
    at the rationals of Coq (Q) its value, read in any ordered field by ratio, is the value of the
    definition there.  tests/test_formal.py runs the programs at small sizes.

    program                  definition
    network_code             network (model.v)
    slope_A_code, slope_x_code   slope_A, slope_x (gradient.v)
    mass_code                mass (model.v)
    reduced_code             over_types (reduction.v), with the terms of reduced_network,
                             reduced_alpha, reduced_gamma, reduced_rho *)

From Coq Require Import ZArith QArith Qfield Lia.
From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model derivative gradient reduction.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.

Record ops (K : Type) := Ops {
  zero : K; one : K; add : K -> K -> K; mul : K -> K -> K; opp : K -> K; inv : K -> K }.

Section Code.
Variables (K : Type) (o : ops K).

Definition sub a b := add o a (opp o b).
Definition div a b := mul o a (inv o b).
Definition natural n := iter n (add o (one o)) (zero o).
Definition sum D (f : nat -> K) := foldr (fun i a => add o (f i) a) (zero o) (iota 0 D).
Definition product D (f : nat -> K) := foldr (fun i a => mul o (f i) a) (one o) (iota 0 D).
Definition code_of (f : feature) :=
  if f is Some y then (if y then one o else opp o (one o)) else zero o.

Section Network.
Variables (D : nat) (score dscore act dact : K -> K) (A : nat -> nat -> K) (x : nat -> K).
Definition total_code i := sum D (fun j => score (A i j)).
Definition attention_code i j := div (score (A i j)) (total_code i).
Definition mean_code i := sum D (fun j => mul o (attention_code i j) (x j)).
Definition seen_code i := mul o (natural D) (mean_code i).
Definition network_code := sum D (fun i => act (seen_code i)).
Definition slope_A_code i j :=
  mul o (dact (seen_code i))
    (mul o (natural D) (mul o (div (dscore (A i j)) (total_code i)) (sub (x j) (mean_code i)))).
Definition slope_x_code j :=
  sum D (fun i => mul o (dact (seen_code i)) (mul o (natural D) (attention_code i j))).
End Network.

Section Law.
Variables (D L : nat) (part : nat -> nat) (q : K).
Definition spurious_code (f : feature) :=
  if f is None then sub (one o) q else div q (natural 2).
Definition mass_code (y : bool) (l : nat) (delta : nat -> feature) :=
  mul o (mul o (inv o (natural 2)) (inv o (natural L)))
    (product D (fun j => if part j == l then natural (delta j == Some y)
                         else spurious_code (delta j))).
End Law.

Section Reduced.
Variables (D L C : nat) (part : nat -> nat) (score dscore act dact : K -> K) (s g r alpha : K).
Variable delta : nat -> feature.
Definition Z_code := add o (add o (score s) (mul o (sub (natural C) (one o)) (score g)))
  (mul o (sub (natural D) (natural C)) (score r)).
Definition count_code k a := natural (size [seq i <- iota 0 D | (part i == k) && (delta i == a)]).
Definition type_code k := sub (count_code k (Some true)) (count_code k (Some false)).
Definition tot_code := sum D (fun j => code_of (delta j)).
Definition inner_code a k :=
  add o (add o (mul o (div (score s) Z_code) (code_of a))
               (mul o (div (score g) Z_code) (sub (type_code k) (code_of a))))
        (mul o (div (score r) Z_code) (sub tot_code (type_code k))).
Definition O_code a k := mul o (mul o alpha (natural D)) (inner_code a k).
Definition over_types_code (h : feature -> nat -> K) := sum L (fun k =>
  add o (add o (mul o (count_code k (Some true)) (h (Some true) k))
               (mul o (count_code k (Some false)) (h (Some false) k)))
        (mul o (count_code k None) (h None k))).
Definition reduced_F := over_types_code (fun a k => act (O_code a k)).
Definition reduced_alpha_code := over_types_code (fun a k =>
  mul o (dact (O_code a k)) (mul o (natural D) (inner_code a k))).
Definition reduced_gamma_code := over_types_code (fun a k =>
  mul o (dact (O_code a k)) (mul o (mul o alpha (natural D)) (mul o (div (dscore g) Z_code)
    (sub (sub (type_code k) (code_of a)) (mul o (sub (natural C) (one o)) (inner_code a k)))))).
Definition reduced_rho_code := over_types_code (fun a k =>
  mul o (dact (O_code a k)) (mul o (mul o alpha (natural D)) (mul o (div (dscore r) Z_code)
    (sub (sub tot_code (type_code k))
         (mul o (sub (natural D) (natural C)) (inner_code a k)))))).
End Reduced.
End Code.

Local Open Scope ring_scope.

(** A map to a field that respects the operations carries programs to definitions. *)
Section Agreement.
Variables (K : Type) (o : ops K) (R : fieldType) (phi : K -> R).
Record morphism := Morphism {
  on_zero : phi (zero o) = 0; on_one : phi (one o) = 1;
  on_add : forall a b, phi (add o a b) = phi a + phi b;
  on_mul : forall a b, phi (mul o a b) = phi a * phi b;
  on_opp : forall a, phi (opp o a) = - phi a; on_inv : forall a, phi (inv o a) = (phi a)^-1 }.
Hypothesis m : morphism.

Lemma on_sub a b : phi (sub o a b) = phi a - phi b.
Proof. by rewrite /sub (on_add m) (on_opp m). Qed.
Lemma on_div a b : phi (div o a b) = phi a / phi b.
Proof. by rewrite /div (on_mul m) (on_inv m). Qed.
Lemma on_natural n : phi (natural o n) = n%:R.
Proof.
by elim: n => [|n IH]; rewrite /natural /= ?(on_zero m) // (on_add m) (on_one m) -/(natural o n) IH
  mulrS.
Qed.
Lemma on_sum D f : phi (sum o D f) = \sum_(i < D) phi (f i).
Proof.
rewrite -(big_mkord xpredT (fun i => phi (f i))) /index_iota subn0 /sum.
elim: (iota 0 D) => [|i s IH] /=; first by rewrite big_nil (on_zero m).
by rewrite big_cons (on_add m) IH.
Qed.
Lemma on_product D f : phi (product o D f) = \prod_(i < D) phi (f i).
Proof.
rewrite -(big_mkord xpredT (fun i => phi (f i))) /index_iota subn0 /product.
elim: (iota 0 D) => [|i s IH] /=; first by rewrite big_nil (on_one m).
by rewrite big_cons (on_mul m) IH.
Qed.
Lemma on_code f : phi (code_of o f) = (value f)%:~R.
Proof. by rewrite valueE; case: f => [[]|] /=; rewrite ?(on_opp m) ?(on_one m) ?(on_zero m). Qed.

Section Network.
Variables (D : nat) (score act : K -> K) (score' act' : R -> R) (A : nat -> nat -> K) (x : nat ->
  K).
Hypotheses (on_score : forall a, phi (score a) = score' (phi a)).
Hypotheses (on_act : forall a, phi (act a) = act' (phi a)).
Let A' (i j : 'I_D) := phi (A i j).
Let x' (j : 'I_D) := phi (x j).

Lemma attention_agrees (i j : 'I_D) : phi (attention_code o D score A i j) = attention score' A' i
  j.
Proof.
by rewrite on_div on_score on_sum; congr (_ / _); apply: eq_bigr => k _; rewrite on_score.
Qed.
Lemma mean_agrees (i : 'I_D) :
  phi (mean_code o D score A x i) = \sum_j attention score' A' i j * x' j.
Proof. by rewrite on_sum; apply: eq_bigr => j _; rewrite (on_mul m) attention_agrees. Qed.
Lemma seen_agrees (i : 'I_D) : phi (seen_code o D score A x i) = seen score' A' x' i.
Proof. by rewrite (on_mul m) on_natural mean_agrees /seen card_ord. Qed.

Theorem network_agrees : phi (network_code o D score act A x) = network score' act' A' x'.
Proof. by rewrite on_sum; apply: eq_bigr => i _; rewrite on_act seen_agrees. Qed.
End Network.

Theorem mass_agrees (D L : nat) (part : 'I_D -> 'I_L) (lab : nat -> nat) q y (l : 'I_L)
    (delta : {ffun 'I_D -> feature}) (d : nat -> feature) :
  (forall i : 'I_D, lab i = part i) -> (forall i : 'I_D, d i = delta i) ->
  phi (mass_code o D L lab q y l d) = mass part (phi q) y l delta.
Proof.
move=> labE dE; rewrite (on_mul m) (on_mul m) !(on_inv m) !on_natural on_product /mass card_ord.
congr (_ * _); apply: eq_bigr => j _; rewrite labE dE.
rewrite (_ : (_ == _ :> nat) = (part j == l)) //; case: ifP => _; first by rewrite on_natural.
by case: (delta j) => [b|]; [rewrite on_div on_natural | rewrite on_sub (on_one m)].
Qed.
End Agreement.

Local Opaque sub div natural sum product code_of.

Section OrderedField.
Variables (K : Type) (o : ops K) (R : realFieldType) (phi : K -> R).
Hypothesis m : morphism o phi.
Variables (D : nat) (score dscore act dact : K -> K) (score' dscore' act' dact' : R -> R).
Hypotheses (on_score : forall a, phi (score a) = score' (phi a)).
Hypotheses (on_dscore : forall a, phi (dscore a) = dscore' (phi a)).
Hypotheses (on_act : forall a, phi (act a) = act' (phi a)).
Hypotheses (on_dact : forall a, phi (dact a) = dact' (phi a)).

Section Slopes.
Variables (A : nat -> nat -> K) (x : nat -> K).
Let A' (i j : 'I_D) := phi (A i j).
Let x' (j : 'I_D) := phi (x j).

Theorem slope_A_agrees (i j : 'I_D) :
  phi (slope_A_code o D score dscore dact A x i j) = slope_A score' dscore' dact' A' x' i j.
Proof.
rewrite (on_mul m) (on_mul m) (on_mul m) on_dact (seen_agrees m A x on_score) (on_div m) (on_sub m)
  (on_natural m).
rewrite on_dscore (on_sum m) (mean_agrees m A x on_score) /slope_A card_ord.
by congr (_ * (_ * (_ / _ * _))); apply: eq_bigr => k _; rewrite on_score.
Qed.

Theorem slope_x_agrees (j : 'I_D) :
  phi (slope_x_code o D score dact A x j) = slope_x score' dact' A' x' j.
Proof.
rewrite (on_sum m); apply: eq_bigr => i _; rewrite (on_mul m) (on_mul m) on_dact (on_natural m).
rewrite card_ord.
by rewrite (seen_agrees m A x on_score) (attention_agrees m A on_score).
Qed.
End Slopes.

Section Reduced.
Variables (L C : nat) (part : 'I_D -> 'I_L) (lab : nat -> nat) (s g r alpha : K).
Variables (delta : 'I_D -> feature) (d : nat -> feature).
Hypotheses (labE : forall i : 'I_D, lab i = part i) (dE : forall i : 'I_D, d i = delta i).

Lemma Z_agrees : phi (Z_code o D C score s g r) =
  score' (phi s) + (C%:R - 1) * score' (phi g) + (D%:R - C%:R) * score' (phi r).
Proof.
rewrite /Z_code (on_add m) (on_add m) !on_score; congr (_ + _ + _); rewrite (on_mul m) on_score.
  by rewrite (on_sub m) (on_natural m) (on_one m).
by rewrite (on_sub m) !(on_natural m).
Qed.

Lemma count_agrees (k : 'I_L) a : phi (count_code o D lab d k a) = (count part delta k a)%:R.
Proof.
rewrite (on_natural m) size_filter -sum1_count; congr _%:R.
rewrite -[D in iota _ D]subn0 -/(index_iota 0 D) big_mkord sum1_card; apply: eq_card => i.
by rewrite inE unfold_in labE dE.
Qed.

Lemma type_agrees (k : 'I_L) : phi (type_code o D lab d k) = type_sum R part delta k.
Proof. by rewrite (on_sub m) !count_agrees. Qed.

Lemma tot_agrees : phi (tot_code o D d) = \sum_j (value (delta j))%:~R.
Proof. by rewrite (on_sum m); apply: eq_bigr => j _; rewrite (on_code m) dE. Qed.

Lemma inner_agrees a (k : 'I_L) : phi (inner_code o D C lab score s g r d a k) =
  inner part C score' (phi s) (phi g) (phi r) delta a k.
Proof.
rewrite (on_add m) (on_add m); rewrite /inner /Lambda /Gamma /Xi /Z card_ord.
congr (_ + _ + _); rewrite (on_mul m) (on_div m) Z_agrees on_score.
- by rewrite (on_code m).
- by rewrite (on_sub m) (on_code m) type_agrees.
by rewrite (on_sub m) tot_agrees type_agrees.
Qed.

Lemma O_agrees a (k : 'I_L) : phi (O_code o D C lab score s g r alpha d a k) =
  O part C score' (phi s) (phi g) (phi r) delta (phi alpha) a k.
Proof. by rewrite (on_mul m) (on_mul m) (on_natural m) inner_agrees /O card_ord. Qed.

Lemma over_types_agrees (h : feature -> nat -> K) (h' : feature -> 'I_L -> R) :
  (forall a (k : 'I_L), phi (h a k) = h' a k) ->
  phi (over_types_code o D L lab d h) = over_types part delta h'.
Proof.
move=> hE; rewrite (on_sum m); apply: eq_bigr => k _.
by rewrite !(on_add m) !(on_mul m) !count_agrees !hE.
Qed.

Let A' := levels part (phi s) (phi g) (phi r).
Let x' (j : 'I_D) : R := phi alpha * (value (delta j))%:~R.
Hypothesis eqC : equal part C.

(** What the reduced programs compute is what the whole network does on the subspace. *)
Theorem reduced_F_agrees :
  phi (reduced_F o D L C lab score act s g r alpha d) = network score' act' A' x'.
Proof.
rewrite [RHS](reduced_network eqC); apply: over_types_agrees => a k.
by rewrite on_act O_agrees.
Qed.

Theorem reduced_alpha_agrees :
  phi (reduced_alpha_code o D L C lab score dact s g r alpha d) =
  \sum_j slope_x score' dact' A' x' j * (value (delta j))%:~R.
Proof.
rewrite [RHS](reduced_alpha eqC); apply: over_types_agrees => a k.
by rewrite (on_mul m) (on_mul m) on_dact O_agrees (on_natural m) inner_agrees card_ord.
Qed.

Theorem reduced_gamma_agrees :
  phi (reduced_gamma_code o D L C lab score dscore dact s g r alpha d) =
  \sum_i \sum_(j | (i != j) && (part i == part j)) slope_A score' dscore' dact' A' x' i j.
Proof.
rewrite [RHS](reduced_gamma eqC); apply: over_types_agrees => a k.
rewrite (on_mul m) on_dact O_agrees (on_mul m) (on_mul m) (on_natural m) card_ord.
rewrite (on_mul m) (on_div m) on_dscore Z_agrees (on_sub m) (on_sub m) type_agrees (on_code m).
by rewrite (on_mul m) (on_sub m) (on_natural m) (on_one m) inner_agrees /Z card_ord.
Qed.

Theorem reduced_rho_agrees :
  phi (reduced_rho_code o D L C lab score dscore dact s g r alpha d) =
  \sum_i \sum_(j | part i != part j) slope_A score' dscore' dact' A' x' i j.
Proof.
rewrite [RHS](reduced_rho eqC); apply: over_types_agrees => a k.
rewrite (on_mul m) on_dact O_agrees (on_mul m) (on_mul m) (on_natural m).
rewrite (on_mul m) (on_div m) on_dscore Z_agrees (on_sub m) (on_sub m) type_agrees tot_agrees.
by rewrite (on_mul m) (on_sub m) !(on_natural m) inner_agrees /Z !card_ord.
Qed.
End Reduced.
End OrderedField.

(** The rationals of Coq, and their values in an ordered field. *)
Definition Q_ops : ops Q :=
  Ops (Qmake 0 1) (Qmake 1 1) (fun a b => Qred (Qplus a b)) (fun a b => Qred (Qmult a b)) Qopp
    (fun a => Qred (Qinv a)).

Section Ratio.
Variable R : realFieldType.

Definition integer (z : BinNums.Z) : R := (Z.to_nat z)%:R - (Z.to_nat (Z.opp z))%:R.
Definition ratio (x : Q) : R := integer (Qnum x) / (Pos.to_nat (Qden x))%:R.

Lemma difference z : exists a b, z = (Z.sub (Z.of_nat a) (Z.of_nat b)).
Proof. by exists (Z.to_nat z), (Z.to_nat (Z.opp z)); lia. Qed.

Lemma integerE a b : integer (Z.sub (Z.of_nat a) (Z.of_nat b)) = a%:R - b%:R.
Proof.
rewrite /integer (_ : Z.to_nat _ = (a - b)%N); last by rewrite -minusE; lia.
rewrite (_ : Z.to_nat _ = (b - a)%N); last by rewrite -minusE; lia.
have [le_ab|/ltnW le_ba] := leqP a b.
  by rewrite (eqP le_ab) natrB // sub0r opprB.
by rewrite (eqP le_ba) natrB // subr0.
Qed.

Lemma integer_add x y : integer (Z.add x y) = integer x + integer y.
Proof.
have [a [b ->]] := difference x; have [c [d ->]] := difference y.
rewrite (_ : Z.add _ _ = Z.sub (Z.of_nat (a + c)) (Z.of_nat (b + d))); last by rewrite -!plusE; lia.
by rewrite !integerE !natrD opprD addrACA.
Qed.

Lemma integer_mul x y : integer (Z.mul x y) = integer x * integer y.
Proof.
have [a [b ->]] := difference x; have [c [d ->]] := difference y.
rewrite (_ : Z.mul _ _ = Z.sub (Z.of_nat (a * c + b * d)) (Z.of_nat (a * d + b * c))); last first.
  by rewrite -!plusE -!multE; lia.
by rewrite !integerE !natrD !natrM; ring.
Qed.

Lemma integer_opp x : integer (Z.opp x) = - integer x.
Proof. by rewrite /integer Z.opp_involutive opprB. Qed.

Lemma integer_pos p : integer (Zpos p) = (Pos.to_nat p)%:R.
Proof. by rewrite /integer /= subr0. Qed.

Lemma pos_neq0 p : (Pos.to_nat p)%:R != 0 :> R.
Proof. by rewrite pnatr_eq0; case: (Pos.to_nat p) (Pos2Nat.is_pos p) => // /Nat.lt_irrefl. Qed.

Lemma pos_mul p p' : (Pos.to_nat (p * p'))%:R = (Pos.to_nat p)%:R * (Pos.to_nat p')%:R :> R.
Proof. by rewrite Pos2Nat.inj_mul multE natrM. Qed.

Lemma ratio_eq x y : Qeq x y -> ratio x = ratio y.
Proof.
rewrite /Qeq => /(congr1 integer); rewrite !integer_mul !integer_pos => e.
by apply/eqP; rewrite /ratio eqr_div ?pos_neq0 // e.
Qed.

Lemma ratio_red x : ratio (Qred x) = ratio x.
Proof. exact/ratio_eq/Qred_correct. Qed.

Local Arguments Qred : simpl never.

Theorem ratio_morphism : morphism Q_ops ratio.
Proof.
split=> [||a b|a b|a|a]; rewrite /= ?ratio_red.
- by rewrite /ratio /integer /= subrr mul0r.
- by rewrite /ratio integer_pos divr1.
- rewrite /ratio /= integer_add !integer_mul !integer_pos pos_mul.
  by rewrite -addf_div ?pos_neq0.
- by rewrite /ratio /= integer_mul pos_mul mulf_div.
- by rewrite /ratio /= integer_opp mulNr.
case: a => [[|p|p] d]; rewrite /ratio /= ?integer_pos.
- by rewrite /integer /= subrr !mul0r invr0.
- by rewrite invf_div.
by rewrite -!Pos2Z.opp_pos !integer_opp !integer_pos !mulNr invrN invf_div.
Qed.
End Ratio.
